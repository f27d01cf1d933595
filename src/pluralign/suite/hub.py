"""Files of the Hugging Face hub: from its cache on this machine, or fetched into it (extra `hub`).

Data files at one commit, never scripts. `HF_HOME` says where the cache is, `HF_HUB_OFFLINE=1` keeps everything from the
network, `HF_TOKEN` or `hf auth login` lets one into data sets that are gated.
"""

from __future__ import annotations

import errno
import importlib.util
from pathlib import Path

from pluralign.suite.card import Hub

__all__ = ["HubFault", "cached", "fetch"]


class HubFault(Exception):
    """Why a file did not come; the reader that asked for it makes a DataError of it."""


def cached(access: Hub, file: str) -> Path | None:
    """The file in the hub's cache of this machine, if it is there; touches no network."""
    if importlib.util.find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(access.repo, file, repo_type="dataset", revision=access.revision or "main")
    return Path(found) if isinstance(found, str) else None


def fetch(access: Hub, file: str) -> Path:
    """The file, from the cache or from the hub. Raises HubFault with what stood in the way."""
    if importlib.util.find_spec("huggingface_hub") is None:
        raise HubFault("no such file; with pip install 'pluralign[hub]' it is fetched from the hub")
    from huggingface_hub import errors, hf_hub_download

    try:
        return Path(hf_hub_download(access.repo, file, repo_type="dataset", revision=access.revision or "main"))
    except errors.GatedRepoError as error:
        page = f"https://huggingface.co/datasets/{access.repo}"
        raise HubFault(
            f"the data set is gated: accept its terms at {page}, then log in (hf auth login, or HF_TOKEN)"
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.RemoteEntryNotFoundError) as error:
        raise HubFault(f"the hub has no such data set, commit or file, or it is not for you: {_first_line(error)}") from error
    except errors.LocalEntryNotFoundError as error:
        raise HubFault(
            "no such file; nor is it in the hub's cache, and the hub cannot be reached (no network, or HF_HUB_OFFLINE)"
        ) from error
    except errors.HfHubHTTPError as error:
        raise HubFault(f"the hub did not give it: {_first_line(error)}; try again later") from error
    except OSError as error:
        full = "; the disk of the hub's cache is full: make room, or set HF_HOME" if error.errno == errno.ENOSPC else ""
        raise HubFault(f"it could not be fetched: {_first_line(error)}{full}") from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else repr(error)
