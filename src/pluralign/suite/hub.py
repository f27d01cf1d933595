"""Files of the Hugging Face hub: from its cache on this machine, or fetched into it (extra `hub`).

Data files of one commit or branch, never scripts. `HF_HOME` says where the cache is, `HF_HUB_OFFLINE=1` keeps everything from
the network, `HF_TOKEN` or `hf auth login` lets one into data sets that are gated. What is in the cache is not asked for again,
not even where a branch has moved on: a run reads the same file from its start to its end, and so does the next one.
"""

from __future__ import annotations

import errno
import http
import importlib.util
import os
from pathlib import Path

from pluralign.suite.card import Hub

__all__ = ["HubFault", "cached", "fetch"]

_LOG_IN = "log in (hf auth login, or HF_TOKEN)"


class HubFault(Exception):
    """Why a file did not come; the reader that asked for it makes a DataError of it."""


def cached(access: Hub, file: str) -> Path | None:
    """The file in the hub's cache of this machine, if it is there; touches no network."""
    if importlib.util.find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(access.repo, file, repo_type="dataset", revision=access.revision or "main")
    except OSError:  # a cache that cannot be looked into holds nothing for us; `fetch` says what is wrong with it
        return None
    return Path(found) if isinstance(found, str) else None


def fetch(access: Hub, file: str) -> Path:
    """The file, from the cache or from the hub. Raises HubFault with what stood in the way.

    Where the hub does not answer, huggingface_hub tries again for about half a minute first.
    """
    if importlib.util.find_spec("huggingface_hub") is None:
        raise HubFault("no such file; with pip install 'pluralign[hub]' it is fetched from the hub")
    if (found := cached(access, file)) is not None:
        return found
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(access.repo, file, repo_type="dataset", revision=access.revision or "main"))
    except Exception as error:  # of its own, of hf_xet and of the HTTP library (requests, httpx, httpx2), which pass through it
        raise HubFault(_why(error, access, file)) from error


def _why(error: Exception, access: Hub, file: str) -> str:
    """What stood in the way and what to do about it."""
    from huggingface_hub import errors

    if isinstance(error, errors.LocalEntryNotFoundError):  # the hub was asked in vain; its cause says why
        return _why_unreached(error.__cause__ or error)
    if isinstance(error, errors.GatedRepoError):
        page = f"https://huggingface.co/datasets/{access.repo}"
        return f"the data set is gated: accept its terms at {page}, then {_LOG_IN}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"the hub has no data set {access.repo}, or it is not for everyone: then {_LOG_IN}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"the hub's data set {access.repo} has no commit or branch {access.revision or 'main'}"
    if isinstance(error, errors.EntryNotFoundError):
        return f"the hub's data set {access.repo} has no file {file} at {access.revision or 'main'}"
    if isinstance(error, errors.HfHubHTTPError):
        return _why_refused(error)
    of_disk = isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError | TimeoutError)
    if of_disk or os.strerror(errno.ENOSPC) in str(error):
        return f"the hub's cache cannot be written: {_first_line(error)}; make room there, or set HF_HOME to another folder"
    return f"it did not come whole from the hub: {_first_line(error)}; try again"


def _why_unreached(cause: BaseException) -> str:
    from huggingface_hub import errors

    if isinstance(cause, errors.HfHubHTTPError):
        return _why_refused(cause)
    if isinstance(cause, errors.FileMetadataError):
        return f"no such file; what answers in place of the hub is not one (a proxy? HF_ENDPOINT?): {_first_line(cause)}"
    why = "HF_HUB_OFFLINE is set" if isinstance(cause, errors.OfflineModeIsEnabled) else f"no network? {_first_line(cause)}"
    return f"no such file; nor is it in the hub's cache, and the hub cannot be reached ({why})"


def _why_refused(error: Exception) -> str:
    """For an answer of the hub that is an error."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status not in [known.value for known in http.HTTPStatus]:
        return f"the hub did not give it: {_first_line(error)}; try again later"
    said = _first_line(getattr(error, "server_message", None) or "")
    answer = f"{status} {http.HTTPStatus(status).phrase}{said and f': {said}'}"
    if status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        return f"the hub refuses it ({answer}); {_LOG_IN} as somebody who may have it"
    return f"the hub did not give it ({answer}); try again later"


def _first_line(said: BaseException | str) -> str:
    lines = str(said).strip().splitlines()
    return lines[0].rstrip(".") if lines else repr(said) if isinstance(said, BaseException) else ""
