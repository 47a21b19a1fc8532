"""Builds the cloud that the settings name, and its account: one per process, to share connections and caches."""

import os
from functools import cache

from django.conf import settings
from django.utils.module_loading import import_string

from cloud.aws_billing import AwsBilling
from cloud.aws_costs import AwsCosts
from cloud.aws_files import AwsFiles
from cloud.aws_loads import AwsLoads
from cloud.base import Cloud
from cloud.billing import CourseAccount
from cloud.costs import Costs
from cloud.ec2 import Ec2Cloud, Ec2Config
from cloud.files import Files
from cloud.loads import Loads, NoLoads


@cache
def cloud() -> Cloud:
    """`CLOUD_BACKEND` is a class or function without arguments, or `Ec2Cloud`, which gets the AWS settings."""
    backend = import_string(settings.CLOUD_BACKEND)
    if backend is Ec2Cloud:
        return Ec2Cloud(_ec2_config())
    made: Cloud = backend()
    return made


@cache
def course_account() -> CourseAccount:
    """The account that the machines run in, as far as its credit goes."""
    return AwsBilling(region=settings.AWS_REGION, endpoint_url=settings.AWS_ENDPOINT_URL or None)


@cache
def costs() -> Costs:
    """What that account cost, as the provider counts it."""
    return AwsCosts(region=settings.AWS_REGION, endpoint_url=settings.AWS_ENDPOINT_URL or None)


@cache
def loads() -> Loads:
    """What CloudWatch measured of machines, where it is asked at all."""
    if not settings.CLOUDWATCH:
        return NoLoads()
    return AwsLoads(region=settings.AWS_REGION, endpoint_url=settings.AWS_ENDPOINT_URL or None)


@cache
def files() -> Files | None:
    """The bucket that students' files wait in; None where there is none."""
    if not settings.ARCHIVE_BUCKET:
        return None
    return AwsFiles(
        region=settings.AWS_REGION,
        endpoint_url=settings.AWS_ENDPOINT_URL or None,
        bucket=settings.ARCHIVE_BUCKET,
        installation=settings.INSTALLATION,
    )


# A forked worker must not share its parent's open connections: two would read one answer.
os.register_at_fork(after_in_child=cloud.cache_clear)
os.register_at_fork(after_in_child=course_account.cache_clear)
os.register_at_fork(after_in_child=costs.cache_clear)
os.register_at_fork(after_in_child=loads.cache_clear)
os.register_at_fork(after_in_child=files.cache_clear)


def _ec2_config() -> Ec2Config:
    return Ec2Config(
        region=settings.AWS_REGION,
        endpoint_url=settings.AWS_ENDPOINT_URL or None,
        subnets=settings.AWS_SUBNETS,
        security_group=settings.AWS_SECURITY_GROUP,
        scheduler_role_arn=settings.AWS_SCHEDULER_ROLE_ARN,
        installation=settings.INSTALLATION,
    )
