"""AWS's error codes in our words: which of the classes of `base` each one is, and so how to react.

Only the table and its reading; who raises is `ec2`.
"""

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

# A code that is not here is Transient when the HTTP status says that AWS failed (5xx), and else Refused: among the
# refused are UnauthorizedOperation, UnsupportedOperation, OperationNotPermitted and every Invalid…, on purpose.
MEANING: dict[str, type[CloudError]] = {
    # Asked too fast, or AWS failed: the very same request again, later.
    "RequestLimitExceeded": Transient,
    "EC2ThrottledException": Transient,
    "Throttling": Transient,
    "ThrottlingException": Transient,
    "ThrottledException": Transient,
    "TooManyRequestsException": Transient,
    "RequestThrottled": Transient,
    "InternalError": Transient,
    "InternalFailure": Transient,
    "InternalServerException": Transient,
    "ServiceUnavailable": Transient,
    "Unavailable": Transient,
    "RequestTimeout": Transient,
    "ConflictException": Transient,  # two processes moved the same schedule
    # No machine to be had here now. Comes with HTTP 500, so the code must decide, not the status.
    "InsufficientInstanceCapacity": NoCapacity,
    "InsufficientHostCapacity": NoCapacity,
    "InsufficientReservedInstanceCapacity": NoCapacity,
    "InsufficientCapacity": NoCapacity,
    "SpotMaxPriceTooLow": NoCapacity,
    "Unsupported": NotOffered,
    "VcpuLimitExceeded": QuotaReached,
    "InstanceLimitExceeded": QuotaReached,
    "MaxSpotInstanceCountExceeded": QuotaReached,
    # About one machine or one token.
    "InvalidInstanceID.NotFound": NotFound,
    "InvalidSpotInstanceRequestID.NotFound": NotFound,
    "InvalidSnapshot.NotFound": NotFound,
    "NoSuchUpload": NotFound,
    "NoSuchKey": NotFound,
    "404": NotFound,  # HeadObject has no body to say it in
    "SlowDown": Transient,
    "InvalidSnapshot.InUse": WrongState,  # an image still boots from it
    "SnapshotCreationPerVolumeRateExceeded": Transient,
    "ConcurrentSnapshotLimitExceeded": Transient,
    "PendingSnapshotLimitExceeded": Transient,
    "IncorrectInstanceState": WrongState,
    "IncorrectState": WrongState,
    "IdempotentParameterMismatch": TokenMismatch,
    # The account itself.
    "NoSuchResourceException": NotFound,  # of a quota
    "PendingVerification": AccountBlocked,
    "OptInRequired": AccountBlocked,
    "Blocked": AccountBlocked,
    "AuthFailure": AccountBlocked,
    "InvalidClientTokenId": AccountBlocked,
    "UnrecognizedClientException": AccountBlocked,
    "SignatureDoesNotMatch": AccountBlocked,
    "ExpiredToken": AccountBlocked,
    "RequestExpired": AccountBlocked,  # our own clock is wrong
}


def cloud_error(code: str, message: str, *, status: int = 400) -> CloudError:
    fallback = Transient if status >= 500 else Refused
    return MEANING.get(code, fallback)(f"{code}: {message}", code=code)
