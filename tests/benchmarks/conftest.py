from tests.simulated_aws import aws_credentials, sim, simulated_aws  # noqa: F401
