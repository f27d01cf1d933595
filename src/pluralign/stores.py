"""Where things lie: a path on this machine, or a URL of an object store (`s3://bucket/prefix`, `gs://`, `memory://`).

`place` is the one way from what somebody wrote to something that can be opened: a `Path` for what is on this machine, a
`Url` for a URL, which goes through fsspec (extra `s3` for `s3://`; for other schemes the package that fsspec names).
A `Url` has the part of `Path` that this package uses, and its errors are OSErrors whose `strerror` says what to do, so
that whoever reads a file says the same of both. Where the store is and who asks is never in the URL but in the environment:
AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE, AWS_REGION, or FSSPEC_S3_... for any other option.

An object is there whole or not at all, and what is listed is never remembered, so every process sees the same.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, final

from pluralign.errors import DataError, MissingExtraError, UsageError

if TYPE_CHECKING:
    pass

__all__ = ["Place", "Url", "folder_here", "is_store", "place"]

_URL = re.compile(r"([a-z][a-z0-9+.-]+)://(.+)", re.DOTALL)
_SQUEEZED = re.compile(r"(s3a?|gs|gcs|az|abfss?|adl|oss|oci|webhdfs|hdfs|memory):/(?=[^/])")
"""A URL that went through `pathlib`, which makes one slash of two."""
_CLIENTS = ("botocore", "aiobotocore", "aiohttp", "gcsfs", "google", "azure", "requests", "urllib3")
"""Packages whose errors are not OSErrors."""
_REFUSED = (
    "these credentials may not {what} it{code}: check AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and what \
the bucket's policy allows them"
)
_NO_CREDENTIALS = (
    "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; for a bucket that \
is open to all, FSSPEC_S3_ANON=true"
)
_NO_ANSWER = "the store does not answer: check AWS_ENDPOINT_URL, AWS_REGION and the network"
_CREATE_ATTEMPTS = 5
_CHUNK = 1 << 20


@final
class Url(os.PathLike[str]):
    """An object of a store, or all objects whose names begin with it and a slash: a folder. Equal URLs are equal."""

    __slots__ = ("_url",)

    def __init__(self, url: str) -> None:
        match = _URL.fullmatch(url)
        if match is None or re.fullmatch(r"[^/]*:[^/]*@.*", match[2], re.DOTALL):
            raise UsageError(
                f"{re.sub('//[^/]*@', '//...@', url)}: need SCHEME://BUCKET/NAME, without a password in it; credentials are "
                "taken from the environment."
            )
        self._url = f"{match[1]}://{match[2].rstrip('/')}"

    def __fspath__(self) -> str:
        return self._url

    def __str__(self) -> str:
        return self._url

    def __repr__(self) -> str:
        return f"Url({self._url!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Url) and self._url == other._url

    def __lt__(self, other: Url) -> bool:
        return self._url < other._url

    def __hash__(self) -> int:
        return hash(self._url)

    def __truediv__(self, name: str | os.PathLike[str]) -> Url:
        return Url(f"{self._url}/{os.fspath(name)}")

    @property
    def name(self) -> str:
        return self._pure.name

    @property
    def stem(self) -> str:
        return self._pure.stem

    @property
    def suffix(self) -> str:
        return self._pure.suffix

    @property
    def parent(self) -> Url:
        """Of a bucket, itself."""
        scheme, _, rest = self._url.partition("://")
        return Url(f"{scheme}://{rest.rpartition('/')[0] or rest}")

    @property
    def _pure(self) -> PurePosixPath:
        return PurePosixPath(self._url.partition("://")[2])

    def with_name(self, name: str) -> Url:
        return self.parent / name

    def resolve(self) -> Url:
        """Itself: a URL depends on no working folder."""
        return self

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: folders of a store are there as soon as something is in them."""

    def exists(self) -> bool:
        return self._kind() is not None

    def is_file(self) -> bool:
        return self._kind() == "file"

    def is_dir(self) -> bool:
        return self._kind() == "directory"

    def iterdir(self) -> Iterator[Url]:
        """What is right below, sorted by name; nothing where nothing is."""
        return (self / name for name in sorted({name.partition("/")[0] for name in self.names()}))

    def glob(self, pattern: str) -> Iterator[Url]:
        """Objects below, by a pattern with one part for each folder, as in `part-*` or `*/state.json`; sorted."""
        depth = pattern.count("/")
        return (self / name for name in self.names() if name.count("/") == depth and PurePosixPath(name).match(pattern))

    def names(self) -> list[str]:
        """Names of the objects below, at any depth, relative to here, sorted; a listing of 1,000 a request. Raises OSError."""
        with self._translated("list"):
            fs, path = self._opened()
            try:
                found = fs.find(path)
            except FileNotFoundError:
                self._refuse_missing_bucket(fs)
                return []
        root = path.rstrip("/") + "/"
        return sorted(name.removeprefix(root) for name in found if name.startswith(root) and not name.endswith("/"))

    def open(self, mode: str = "rb") -> IO[bytes]:
        """The content, to be read in blocks. Raises OSError."""
        if mode != "rb":
            raise UsageError(f"{self}: objects are written whole, by files.atomic_write.")
        with self._translated("read"):
            fs, path = self._opened()
            stream: IO[bytes] = fs.open(path, "rb")
        return io.BufferedReader(_Reading(stream, self), _CHUNK)

    def read_bytes(self) -> bytes:
        with self._translated("read"):
            fs, path = self._opened()
            content: bytes = fs.cat_file(path)
            return content

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read_bytes().decode(encoding)

    def unlink(self, missing_ok: bool = False) -> None:
        with self._translated("remove"), contextlib.suppress(*([FileNotFoundError] if missing_ok else [])):
            fs, path = self._opened()
            fs.rm_file(path)

    def version(self) -> tuple[int, str]:
        """Size and what the store calls this content (its ETag); "" where it calls it nothing. Raises OSError."""
        with self._translated("read"):
            fs, path = self._opened()
            found = fs.info(path)
        return int(found.get("size") or 0), str(found.get("ETag") or "")

    def upload(self, file: Path, *, create: bool = False) -> bool:
        """The content of a file on disk, whole or not at all; with `create`, only if there is no such object.

        False where there was one, which is left as it is. A store that cannot create conditionally is asked right before.
        """
        for _ in range(_CREATE_ATTEMPTS if create else 1):
            with self._translated("write"):
                fs, path = self._opened()
                try:
                    fs.put_file(os.fspath(file), path, **({"mode": "create"} if create else {}))
                    return True
                except FileExistsError:
                    return False
                except Exception as error:
                    code = _code(error)
                    if not create or code not in (*_EXISTS, *_AT_ONCE, *_UNABLE):
                        raise
                    if code in _EXISTS or fs.exists(path):
                        return False
                    if code in _UNABLE:
                        fs.put_file(os.fspath(file), path)
                        return True
        raise OSError(errno.EBUSY, "others write it at the same time; start again", str(self))

    def download(self, file: Path) -> None:
        with self._translated("read"):
            fs, path = self._opened()
            fs.get_file(path, os.fspath(file))

    def _kind(self) -> str | None:
        with self._translated("read"):
            fs, path = self._opened()
            try:
                found: str = fs.info(path)["type"]
            except FileNotFoundError:
                return None
            return found

    def _opened(self) -> tuple[Any, str]:
        """The file system, and what it calls this path."""
        fs = _filesystem(self._url.partition("://")[0])
        return fs, str(fs._strip_protocol(self._url))

    @property
    def _bucket(self) -> str:
        scheme, _, rest = self._url.partition("://")
        return f"{scheme}://{rest.partition('/')[0]}"

    def _refuse_missing_bucket(self, fs: Any) -> None:
        if self._url.startswith("s3") and not fs.exists(self._bucket):
            raise FileNotFoundError(errno.ENOENT, _no_bucket(self._bucket), str(self))

    @contextlib.contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        """What the store's client says, as an OSError whose strerror says what to do; never with what a request held."""
        try:
            yield
        except OSError as error:
            raise self._as_os_error(error, what) from None
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in _CLIENTS:
                raise
            raise self._as_os_error(error, what) from None

    def _named_refusal(self) -> str:
        """What a listing is answered, since the answer to a question about one object has no text; "" where it is allowed."""
        try:
            fs, path = self._opened()
            fs.ls(path)
        except Exception as error:
            code = _code(error)
            return "" if code.isdigit() else code
        return ""

    def _as_os_error(self, error: Exception, what: str) -> OSError:
        if isinstance(error, OSError) and error.filename == str(self):
            return error
        code, kind = _code(error), type(error).__name__
        if code == "NoSuchBucket":
            return FileNotFoundError(errno.ENOENT, _no_bucket(self._bucket), str(self))
        if isinstance(error, FileNotFoundError):
            with contextlib.suppress(Exception):
                self._refuse_missing_bucket(self._opened()[0])
                return FileNotFoundError(errno.ENOENT, "no such object or folder", str(self))
            return FileNotFoundError(errno.ENOENT, _no_bucket(self._bucket), str(self))
        if "Credentials" in kind or "Unable to locate credentials" in str(error):
            return PermissionError(errno.EACCES, _NO_CREDENTIALS, str(self))
        if isinstance(error, PermissionError):
            named = self._named_refusal() if code in ("", "403") else code
            shown = f" ({named})" if named else ""
            return PermissionError(errno.EACCES, _REFUSED.format(what=what, code=shown), str(self))
        if "Connect" in kind or "Timeout" in kind:
            return OSError(errno.EHOSTUNREACH, _NO_ANSWER, str(self))
        said = f"{kind}{f' {code}' if code else ''}"
        return OSError(getattr(error, "errno", None) or errno.EIO, f"the store cannot {what} it ({said})", str(self))


Place = Path | Url
"""Where something lies."""

_EXISTS = ("PreconditionFailed", "412")
_AT_ONCE = ("ConditionalRequestConflict", "OperationAborted", "409")
_UNABLE = ("NotImplemented", "501")
"""What a store answers to a conditional creation: there is one; somebody writes it now; it knows no conditions."""


def place(path: str | os.PathLike[str]) -> Place:
    """What somebody wrote as a path or URL. A URL that went through `pathlib` is taken for the URL that it was.

    >>> place("s3://bucket/run") / "records.parquet"
    Url('s3://bucket/run/records.parquet')
    >>> place(Path("s3://bucket/run")) == place("s3://bucket/run/")
    True
    >>> place("runs/mine").name
    'mine'
    """
    if isinstance(path, Url):
        return path
    text = os.fspath(path)
    if text.startswith("file://"):
        return Path(text.removeprefix("file://"))
    if not isinstance(path, Path) and _URL.fullmatch(text):
        return Url(text)
    if _SQUEEZED.match(text):
        return Url(_SQUEEZED.sub(r"\1://", text, count=1))
    return Path(path)


def is_store(path: str | os.PathLike[str]) -> bool:
    """Whether this names something in a store."""
    return isinstance(place(path), Url)


def folder_here(path: str | os.PathLike[str], what: str) -> Path:
    """The path. Raises UsageError for a URL: `what` needs a folder on this machine."""
    found = place(path)
    if isinstance(found, Url):
        raise UsageError(
            f"{found}: {what} needs a folder on this machine; name one, and copy it with the store's own tools "
            "(aws s3 sync, gcloud storage cp)."
        )
    return found


def _filesystem(scheme: str) -> Any:
    try:
        import fsspec
    except ModuleNotFoundError as error:
        raise MissingExtraError("s3fs" if scheme.startswith("s3") else "fsspec", extra="s3") from error
    try:
        return fsspec.filesystem(scheme, use_listings_cache=False)
    except ImportError as error:
        if scheme in ("s3", "s3a"):
            raise MissingExtraError("s3fs", extra="s3") from error
        raise DataError(f"{scheme}://", f"this needs a package that is not installed. {error}") from error
    except ValueError as error:
        raise DataError(f"{scheme}://", f"no such file system is known ({error}); e.g. s3://, gs://, az://") from error


def _code(error: BaseException | None) -> str:
    """What the store called it ("NoSuchBucket"); "" where it said nothing."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
        error = error.__cause__ or error.__context__
    return ""


def _no_bucket(bucket: str) -> str:
    return f"there is no bucket {bucket}, or these credentials may not see it; create it, or correct the name"


class _Reading(io.RawIOBase):
    """A stream of a store, whose errors are translated as those of its path are."""

    def __init__(self, stream: IO[bytes], path: Url) -> None:
        self._stream, self._path = stream, path

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: Any) -> int:
        with self._path._translated("read"):
            content = self._stream.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()
