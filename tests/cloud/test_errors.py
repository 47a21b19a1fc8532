"""Each of AWS's codes that the product meets, and how it reacts: the table of reactions, row by row."""

import pytest

from cloud.base import (
    AccountBlocked,
    CloudError,
    NoCapacity,
    NotFound,
    NotOffered,
    QuotaReached,
    Refused,
    TokenMismatch,
    Transient,
    WrongState,
)
from cloud.errors import cloud_error

CODES: dict[str, type[CloudError]] = {
    "RequestLimitExceeded": Transient,
    "EC2ThrottledException": Transient,
    "Throttling": Transient,
    "ThrottlingException": Transient,
    "InternalError": Transient,
    "ServiceUnavailable": Transient,
    "Unavailable": Transient,
    "InsufficientInstanceCapacity": NoCapacity,
    "InsufficientHostCapacity": NoCapacity,
    "SpotMaxPriceTooLow": NoCapacity,
    "Unsupported": NotOffered,
    "VcpuLimitExceeded": QuotaReached,
    "MaxSpotInstanceCountExceeded": QuotaReached,
    "InstanceLimitExceeded": QuotaReached,
    "PendingVerification": AccountBlocked,
    "OptInRequired": AccountBlocked,
    "Blocked": AccountBlocked,
    "AuthFailure": AccountBlocked,
    "InvalidInstanceID.NotFound": NotFound,
    "IncorrectInstanceState": WrongState,
    "IncorrectState": WrongState,
    "IdempotentParameterMismatch": TokenMismatch,
    "IdempotentInstanceTerminated": Refused,
    "InvalidInstanceID.Malformed": Refused,
    "InvalidAMIID.NotFound": Refused,
    "InvalidParameterValue": Refused,
    "UnauthorizedOperation": Refused,
    "UnsupportedOperation": Refused,
    "OperationNotPermitted": Refused,
    "SomethingNew": Refused,
}


@pytest.mark.parametrize(("code", "expected"), CODES.items(), ids=CODES)
def test_each_code_says_how_to_react(code: str, expected: type[CloudError]) -> None:
    error = cloud_error(code, "in AWS's words", status=400)
    assert type(error) is expected
    assert error.code == code
    assert "in AWS's words" in str(error)


@pytest.mark.parametrize("code", ["InsufficientInstanceCapacity", "VcpuLimitExceeded"])
def test_a_known_code_decides_though_aws_calls_it_its_own_failure(code: str) -> None:
    assert type(cloud_error(code, "", status=500)) is CODES[code]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_unknown_failure_of_aws_is_worth_another_try(status: int) -> None:
    assert type(cloud_error("SomethingNew", "", status=status)) is Transient
