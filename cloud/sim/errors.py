"""A refusal in EC2's own XML, with the HTTP status that EC2 gives it."""

from xml.sax.saxutils import escape

from werkzeug.exceptions import HTTPException

_BODY = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message>'
    "</Error></Errors><RequestID>00000000-0000-4000-8000-000000000000</RequestID></Response>"
)
# EC2 counts these as its own failures, which is why SDKs repeat them.
_SERVER_SIDE = {
    "InsufficientInstanceCapacity": 500,
    "InsufficientHostCapacity": 500,
    "InternalError": 500,
    "InternalFailure": 500,
    "RequestLimitExceeded": 503,
    "Unavailable": 503,
    "ServiceUnavailable": 503,
}


def status_of(code: str) -> int:
    return _SERVER_SIDE.get(code, 400)


def error_body(code: str, message: str) -> str:
    return _BODY.format(code=escape(code), message=escape(message))


class Ec2Error(HTTPException):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(error_body(code, message))
        self.ec2_code = code
        self.code = status_of(code)

    def get_headers(self, *_args: object, **_kwargs: object) -> list[tuple[str, str]]:
        return [("Content-Type", "text/xml;charset=UTF-8")]


def not_found(ids: list[str]) -> Ec2Error:
    if len(ids) == 1:
        return Ec2Error("InvalidInstanceID.NotFound", f"The instance ID '{ids[0]}' does not exist")
    return Ec2Error("InvalidInstanceID.NotFound", f"The instance IDs '{', '.join(ids)}' do not exist")


def malformed(cloud_id: str) -> Ec2Error:
    return Ec2Error("InvalidInstanceID.Malformed", f'Invalid id: "{cloud_id}"')


def wrong_state(cloud_id: str, verb: str) -> Ec2Error:
    text = f"The instance '{cloud_id}' is not in a state from which it can be {verb}."
    return Ec2Error("IncorrectInstanceState", text)
