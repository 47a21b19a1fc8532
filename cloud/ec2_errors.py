"""boto3's exceptions as ours: what every file that speaks to EC2 or its neighbours wraps its calls in."""

from collections.abc import Iterator
from contextlib import contextmanager

import botocore.exceptions as boto_errors
from botocore.parsers import ResponseParserError

from cloud.base import AccountBlocked, Refused, Transient
from cloud.errors import cloud_error

# Also an answer that is not EC2's (a proxy's page), and a role whose credentials could not be fetched just now.
_PASSING = (
    boto_errors.HTTPClientError,
    boto_errors.ConnectionError,
    ResponseParserError,
    boto_errors.CredentialRetrievalError,
    boto_errors.MetadataRetrievalError,
)
_CREDENTIALS = (boto_errors.NoCredentialsError, boto_errors.PartialCredentialsError)


@contextmanager
def our_words() -> Iterator[None]:
    """boto3's exceptions as ours. A lost answer is Transient: nothing is known to have happened."""
    try:
        yield
    except boto_errors.ClientError as error:
        told = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
        raise cloud_error(told.get("Code", ""), told.get("Message", ""), status=status) from error
    except _PASSING as error:
        raise Transient(str(error), code=type(error).__name__) from error
    except _CREDENTIALS as error:
        raise AccountBlocked(str(error), code=type(error).__name__) from error
    except boto_errors.BotoCoreError as error:
        raise Refused(str(error), code=type(error).__name__) from error
