"""What IAM is asked for each call of an API: actions, resources and context, as AWS's Service Authorization Reference
lists them. `Ear` hears every call that a boto3 session makes."""

from collections.abc import Callable, Mapping
from typing import Any

import boto3

from tests.iam.policy import Request

REGION, ACCOUNT = "us-east-1", "123456789012"
EC2 = f"arn:aws:ec2:{REGION}:{ACCOUNT}:"
# Images and snapshots carry no account in their names.
EC2_SHARED = f"arn:aws:ec2:{REGION}::"
OURS = {"aws:ResourceTag/lamplighter:installation": "lamplighter"}
Params = Mapping[str, Any]


class Ear:
    def __init__(self) -> None:
        self.session = boto3.session.Session(region_name=REGION)
        self.calls: list[tuple[str, str, Params]] = []
        self.session.events.register("provide-client-params", self._hear)

    def _hear(self, params: Params, model: Any, **_kwargs: Any) -> None:
        self.calls.append((model.service_model.signing_name, model.name, params))

    def requests(self) -> list[Request]:
        return [request for service, name, params in self.calls for request in requests_of(service, name, params)]


def requests_of(service: str, name: str, params: Params) -> list[Request]:
    action = f"{service}:{name}"
    special = _SPECIAL.get(action)
    return special(action, params) if special else [Request(action, "*")]


def tags(params: Params, kind: str) -> dict[str, str]:
    found = [one["Tags"] for one in params.get("TagSpecifications", []) if one["ResourceType"] == kind]
    return {f"aws:RequestTag/{tag['Key']}": tag["Value"] for group in found for tag in group}


def _marking(params: Params, create_action: str) -> list[Request]:
    """Tags that come with a creation are a right of their own."""
    shared = {"image", "snapshot"}
    return [
        Request(
            "ec2:CreateTags",
            f"{EC2_SHARED if one['ResourceType'] in shared else EC2}{one['ResourceType']}/*",
            {"ec2:CreateAction": create_action, **tags(params, one["ResourceType"])},
        )
        for one in params.get("TagSpecifications", [])
    ]


def _run(action: str, params: Params) -> list[Request]:
    disk = params["BlockDeviceMappings"][0]["Ebs"]
    volume = {
        "ec2:VolumeType": disk["VolumeType"],
        "ec2:VolumeSize": str(disk["VolumeSize"]),
        "ec2:Encrypted": str(disk["Encrypted"]).lower(),
    }
    instance = {
        "ec2:InstanceType": params["InstanceType"],
        "ec2:MetadataHttpTokens": params.get("MetadataOptions", {}).get("HttpTokens", "optional"),
    }
    return [
        Request(action, f"{EC2}instance/*", instance | tags(params, "instance")),
        Request(action, f"{EC2}volume/*", volume | tags(params, "volume")),
        Request(action, f"{EC2}network-interface/*", tags(params, "network-interface")),
        *(
            [Request(action, f"{EC2}spot-instances-request/*", tags(params, "spot-instances-request"))]
            if "InstanceMarketOptions" in params
            else []
        ),
        Request(action, f"{EC2_SHARED}image/{params['ImageId']}"),
        Request(action, f"{EC2}subnet/{params['SubnetId']}"),
        *(Request(action, f"{EC2}security-group/{one}") for one in params["SecurityGroupIds"]),
        *_marking(params, "RunInstances"),
    ]


def _order(action: str, params: Params) -> list[Request]:
    return [Request(action, f"{EC2}instance/{one}", OURS) for one in params["InstanceIds"]]


def _modify(action: str, params: Params) -> list[Request]:
    attributes = [name for name in params if name not in ("InstanceId", "DryRun")]
    return [
        Request(
            action,
            f"{EC2}instance/{params['InstanceId']}",
            {**OURS, "ec2:Attribute": name, f"ec2:Attribute/{name}": str(params[name]["Value"])},
        )
        for name in attributes
    ]


def _snapshots(action: str, params: Params) -> list[Request]:
    return [
        Request(action, f"{EC2}instance/{params['InstanceSpecification']['InstanceId']}", OURS),
        Request(action, f"{EC2}volume/*", OURS),
        Request(action, f"{EC2_SHARED}snapshot/*", tags(params, "snapshot")),
        *_marking(params, "CreateSnapshots"),
    ]


def _save_image(action: str, params: Params) -> list[Request]:
    return [
        Request(action, f"{EC2}instance/{params['InstanceId']}", OURS),
        Request(action, f"{EC2_SHARED}image/*", tags(params, "image")),
        Request(action, f"{EC2_SHARED}snapshot/*", tags(params, "snapshot")),
        *_marking(params, "CreateImage"),
    ]


def _register(action: str, params: Params) -> list[Request]:
    return [
        Request(action, f"{EC2_SHARED}image/*", tags(params, "image")),
        Request(action, f"{EC2_SHARED}snapshot/{params['BlockDeviceMappings'][0]['Ebs']['SnapshotId']}", OURS),
        *_marking(params, "RegisterImage"),
    ]


def _schedule(action: str, params: Params) -> list[Request]:
    schedule = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/{params['Name']}"
    role = params.get("Target", {}).get("RoleArn")
    passing = Request("iam:PassRole", role, {"iam:PassedToService": "scheduler.amazonaws.com"}) if role else None
    return [Request(action, schedule), *([passing] if passing else [])]


def _parameter(action: str, params: Params) -> list[Request]:
    # Public parameters belong to no account.
    return [Request(action, f"arn:aws:ssm:{REGION}::parameter{params['Name']}")]


def _quota(action: str, params: Params) -> list[Request]:
    return [Request(action, f"arn:aws:servicequotas:{REGION}:{ACCOUNT}:{params['ServiceCode']}/{params['QuotaCode']}")]


def _file(action: str, params: Params) -> list[Request]:
    """S3 has few rights for its many calls."""
    bucket = f"arn:aws:s3:::{params['Bucket']}"
    if action == "s3:ListMultipartUploads":
        return [Request("s3:ListBucketMultipartUploads", bucket)]
    rights = {"s3:DeleteObject": "s3:DeleteObject", "s3:AbortMultipartUpload": "s3:AbortMultipartUpload"}
    rights |= {"s3:HeadObject": "s3:GetObject", "s3:GetObject": "s3:GetObject"}
    # Without the right to list, S3 does not say that something is missing, but that it is forbidden.
    listing = [Request("s3:ListBucket", bucket)] if action == "s3:HeadObject" else []
    return [Request(rights.get(action, "s3:PutObject"), f"{bucket}/{params['Key']}"), *listing]


_SPECIAL: dict[str, Callable[[str, Params], list[Request]]] = {
    "ec2:RunInstances": _run,
    **dict.fromkeys(
        ("ec2:StartInstances", "ec2:StopInstances", "ec2:RebootInstances", "ec2:TerminateInstances"), _order
    ),
    "ec2:ModifyInstanceAttribute": _modify,
    "ec2:CreateSnapshots": _snapshots,
    "ec2:CreateImage": _save_image,
    "ec2:RegisterImage": _register,
    "ec2:CancelSpotInstanceRequests": lambda a, p: [
        Request(a, f"{EC2}spot-instances-request/{one}", OURS) for one in p["SpotInstanceRequestIds"]
    ],
    "ec2:DeleteSnapshot": lambda a, p: [Request(a, f"{EC2_SHARED}snapshot/{p['SnapshotId']}", OURS)],
    "ec2:DeregisterImage": lambda a, p: [Request(a, f"{EC2_SHARED}image/{p['ImageId']}", OURS)],
    **dict.fromkeys(("scheduler:CreateSchedule", "scheduler:UpdateSchedule", "scheduler:DeleteSchedule"), _schedule),
    "sts:AssumeRole": lambda a, p: [Request(a, p["RoleArn"])],
    "sts:GetCallerIdentity": lambda _a, _p: [],  # everybody may ask who they are
    "ssm:GetParameter": _parameter,
    **dict.fromkeys(
        (
            "s3:CreateMultipartUpload",
            "s3:UploadPart",
            "s3:CompleteMultipartUpload",
            "s3:AbortMultipartUpload",
            "s3:ListMultipartUploads",
            "s3:HeadObject",
            "s3:GetObject",
            "s3:DeleteObject",
        ),
        _file,
    ),
    "servicequotas:RequestServiceQuotaIncrease": _quota,
}
