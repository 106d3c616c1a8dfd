"""Objects in S3, or in a store that is compatible with it: `Objects` on boto3.

boto3 repeats what failed in passing by itself (5 attempts); what it gives up is `Unavailable`. Credentials and region are
those that boto3 finds: environment, profile, role.
"""

from asyncio import to_thread
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from typing import Any, Final, cast

from penstock.errors import Missing, Refused, Unavailable
from penstock.ports.objects import ObjectInfo

PAGE_MAX: Final = 1000  # S3's own
ATTEMPTS_MAX: Final = 5
CONNECT_WITHIN_S: Final = 10
ANSWER_WITHIN_S: Final = 60
_NO_BUCKET: Final = ("NoSuchBucket",)
_NO_KEY: Final = ("NoSuchKey", "NoSuchVersion", "404", "InvalidVersionId")
_CHANGED: Final = ("PreconditionFailed", "412")
_BUSY: Final = ("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "503", "500")
_Answer = Mapping[str, Any]


@contextmanager
def open_s3(endpoint: str | None = None, region: str | None = None) -> Generator["S3Objects"]:
    """Open S3, or what answers at an endpoint such as http://127.0.0.1:9000; `Missing` without the extra."""
    try:
        library, config = import_module("boto3"), import_module("botocore.config")
    except ImportError as error:
        raise Missing("boto3, which speaks to S3,", "pip install 'penstock[aws]'") from error
    options = config.Config(
        retries={"mode": "standard", "max_attempts": ATTEMPTS_MAX},
        connect_timeout=CONNECT_WITHIN_S,
        read_timeout=ANSWER_WITHIN_S,
        s3={"addressing_style": "path" if endpoint else "auto"},
    )
    client = library.session.Session().client("s3", endpoint_url=endpoint, region_name=region, config=options)
    try:
        yield S3Objects(client, endpoint or "S3")
    finally:
        client.close()


class S3Objects:
    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name
        self._errors = import_module("botocore.exceptions")

    async def about(self, bucket: str, key: str, version: str | None = None) -> ObjectInfo | None:
        asked = {"Bucket": bucket, "Key": key} | ({"VersionId": version} if version else {})
        found = await self._ask("head_object", asked, none_for=_NO_KEY)
        if found is None:
            await self._ask("head_bucket", {"Bucket": bucket}, missing=(*_NO_BUCKET, "404"))
            return None
        return _info(bucket, key, found, found["ContentLength"], str(found.get("VersionId") or ""))

    async def read(self, of: ObjectInfo, start: int, length: int) -> bytes:
        if start >= of.size or length <= 0:
            return b""
        last = min(start + length, of.size) - 1
        asked = {"Bucket": of.bucket, "Key": of.key, "IfMatch": of.etag, "Range": f"bytes={start}-{last}"}
        if of.version:
            asked["VersionId"] = of.version

        def body(answer: _Answer) -> bytes:
            return cast("bytes", answer["Body"].read())

        found = await self._ask("get_object", asked, none_for=(*_NO_KEY, *_CHANGED), then=body)
        if found is None:
            raise Refused(f"{of.bucket}/{of.key} has changed since its reading began", "begin again")
        return found

    async def listed(self, bucket: str, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[ObjectInfo]:
        asked = {"Bucket": bucket, "Prefix": prefix, "MaxKeys": min(limit, PAGE_MAX)}
        if after:
            asked["StartAfter"] = after
        found = await self._ask("list_objects_v2", asked)
        assert found is not None, "nothing of it is None"
        return [_info(bucket, each["Key"], each, each["Size"], "") for each in found.get("Contents", ())]

    async def put(self, bucket: str, key: str, body: bytes) -> None:
        await self._ask("put_object", {"Bucket": bucket, "Key": key, "Body": body})

    async def _ask(
        self,
        operation: str,
        asked: Mapping[str, Any],
        *,
        none_for: Sequence[str] = (),
        missing: Sequence[str] = _NO_BUCKET,
        then: Callable[[_Answer], Any] = lambda answer: answer,
    ) -> Any:
        """Call an operation in a thread. None for some codes of errors; the others are ours."""
        try:
            return await to_thread(lambda: then(getattr(self._client, operation)(**asked)))
        except self._errors.ClientError as error:
            told = cast("dict[str, Any]", error.response).get("Error", {})
            code, text = str(told.get("Code")), str(told.get("Message") or error)
            if code in missing:
                raise Missing(f"the bucket {asked['Bucket']!r}", f"make it in {self._name}") from error
            if code in none_for:
                return None
            if code in _BUSY:
                raise Unavailable(self._name, operation, f"{code}: {text}") from error
            raise Refused(f"{self._name} refused {operation} of {asked['Bucket']!r} ({code}: {text})") from error
        except self._errors.NoCredentialsError as error:
            raise Refused(f"{self._name} was not asked: {error}", "set AWS_ACCESS_KEY_ID, or a profile") from error
        except self._errors.BotoCoreError as error:
            raise Unavailable(self._name, operation, str(error)) from error


def _info(bucket: str, key: str, told: _Answer, size: int, version: str) -> ObjectInfo:
    modified = cast("datetime", told["LastModified"])
    storage = str(told.get("StorageClass") or "STANDARD")
    return ObjectInfo(bucket, key, size, str(told["ETag"]), round(modified.timestamp() * 1000), storage, version)
