"""Programs of several processes: a real Dask cluster on loopback, joblib and multiprocessing."""

from __future__ import annotations

import multiprocessing
import pickle
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import pytest
from distributed import Client, LocalCluster
from distributed.protocol import pickle as dask_pickle
from joblib.externals.loky import get_reusable_executor

from requests_bearer_env import BearerEnvAuth, MissingKeyError
from tests.environments import distributed_work as work
from tests.helpers import KEY, NEW, OLD, OTHER_KEY, Serve, assert_hidden, authorizations, keyed

TASKS = 40
PROCESSES = 2


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Set the variables that the workers inherit: the key, and a directory that records the provider's calls."""
    (tmp_path / "calls").mkdir()
    monkeypatch.setenv(work.CALLS, str(tmp_path / "calls"))
    monkeypatch.setenv(work.VARIABLE, KEY)


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Any]:
    """A client of a cluster of two processes with one thread each."""
    with (
        LocalCluster(
            n_workers=PROCESSES,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            local_directory=str(tmp_path),
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def url(serve: Serve) -> str:
    """A server that accepts the key."""
    return serve(keyed(KEY)).url()


def addresses(client: Any) -> list[str]:
    """The addresses of the workers."""
    return list(client.scheduler_info()["workers"])


class TestDask:
    """Dask's scheduler sends tasks to the workers as pickles."""

    def test_auth_at_module_level_asks_once(self, dask: Any, url: str, ca: str) -> None:
        """All tasks of a process share the cache of the object that the process made itself."""
        tasks = [dask.submit(work.fetch_with_module_auth, url, ca, number, pure=False) for number in range(TASKS)]
        processes = dask.gather(tasks)
        assert work.calls() == sorted(set(processes))

    def test_auth_as_argument_asks_for_each_task(self, dask: Any, url: str, ca: str) -> None:
        """Each task unpickles an auth of its own, whose cache is empty because a pickle holds no key."""
        auth = BearerEnvAuth(provider=work.vault, ttl=3600)
        tasks = [dask.submit(work.fetch, url, ca, auth, number, pure=False) for number in range(TASKS)]
        processes = dask.gather(tasks)
        assert work.calls() == sorted(processes)

    def test_scattered_auth_asks_once(self, dask: Any, url: str, ca: str) -> None:
        """A scattered object is unpickled once in each process, and kept there until the client drops it."""
        auth = dask.scatter(BearerEnvAuth(provider=work.vault, ttl=3600), broadcast=True)
        tasks = [dask.submit(work.fetch, url, ca, auth, number, pure=False) for number in range(TASKS)]
        processes = dask.gather(tasks)
        assert work.calls() == sorted(set(processes))

    @pytest.mark.parametrize("options", [{"env": work.VARIABLE}, {"provider": work.vault, "ttl": 3600}])
    def test_no_pickle_holds_the_key(
        self, dask: Any, url: str, ca: str, options: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Neither an auth that has sent the key nor a function that closes over it holds the key in its pickle."""
        sent: list[bytes] = []
        dumps: Callable[..., bytes] = dask_pickle.dumps

        def recording(*arguments: Any, **options: Any) -> bytes:
            sent.append(dumps(*arguments, **options))
            return sent[-1]

        auth = BearerEnvAuth(**options)
        work.fetch(url, ca, auth)
        monkeypatch.setattr(dask_pickle, "dumps", recording)
        dask.submit(work.fetch, url, ca, auth).result()
        dask.submit(lambda: work.fetch(url, ca, auth)).result()
        monkeypatch.undo()
        assert sum(b"BearerEnvAuth" in pickled for pickled in sent) >= 2
        assert not [pickled for pickled in sent if KEY.encode() in pickled]

    def test_each_worker_reads_its_own_variable(self, dask: Any, serve: Serve, ca: str) -> None:
        """The environment of the program that submits the task does not matter."""
        server = serve(keyed(KEY, OTHER_KEY))
        auth = BearerEnvAuth(work.VARIABLE)
        for address, key in zip(addresses(dask), (KEY, OTHER_KEY), strict=True):
            dask.run(work.set_key, key, workers=[address])
            dask.submit(work.fetch, server.url(), ca, auth, workers=[address], pure=False).result()
        assert authorizations(server) == [OLD, NEW]

    def test_worker_without_the_variable_says_so(self, dask: Any, url: str, ca: str) -> None:
        """The exception arrives with its type and request, although this process has the variable."""
        dask.run(work.set_key, None)
        with pytest.raises(MissingKeyError) as caught:
            dask.submit(work.fetch, url, ca, BearerEnvAuth(work.VARIABLE), 7).result()
        assert "TGW_API_KEY" in caught.value.problem
        assert caught.value.request is not None
        assert caught.value.request.url == f"{url}?task=7"
        assert_hidden("".join(traceback.format_exception(caught.value)))


def test_lambda_carries_the_key_in_a_cloudpickle() -> None:
    """Cloudpickle stores a lambda with all that it refers to, but a function of a module by its name."""
    key = KEY
    auth = BearerEnvAuth(provider=lambda: key)
    assert KEY.encode() in cloudpickle.dumps(auth)
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(auth)
    assert KEY.encode() not in cloudpickle.dumps(BearerEnvAuth(provider=work.vault))


class TestJoblib:
    """Joblib's default backend is loky."""

    @pytest.fixture(autouse=True)
    def _new_workers(self) -> Iterator[None]:
        """Shut the workers down, which have this test's environment."""
        yield
        get_reusable_executor().shutdown(wait=True)

    def test_auth_at_module_level_asks_once(self, url: str, ca: str) -> None:
        """Each worker process makes the auth once, as under Dask."""
        tasks = (joblib.delayed(work.fetch_with_module_auth)(url, ca, number) for number in range(TASKS))
        processes = joblib.Parallel(n_jobs=PROCESSES)(tasks)
        assert work.calls() == sorted(set(processes))

    def test_auth_as_argument_asks_for_each_batch(self, url: str, ca: str) -> None:
        """Joblib sends short tasks in batches, whose number depends on their duration."""
        auth = BearerEnvAuth(provider=work.vault, ttl=3600)
        joblib.Parallel(n_jobs=PROCESSES)(joblib.delayed(work.fetch)(url, ca, auth, number) for number in range(TASKS))
        assert PROCESSES < len(work.calls()) <= TASKS


class TestMultiprocessing:
    """Spawned processes; forked ones would inherit the cache."""

    def test_auth_at_module_level_asks_once(self, url: str, ca: str) -> None:
        """Each worker process makes the auth once, as under Dask."""
        with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
            processes = pool.starmap(work.fetch_with_module_auth, [(url, ca, number) for number in range(TASKS)])
        assert work.calls() == sorted(set(processes))

    def test_auth_as_argument_asks_for_each_chunk(self, url: str, ca: str) -> None:
        """The tasks of a chunk are unpickled together, and so share the auth."""
        auth = BearerEnvAuth(provider=work.vault, ttl=3600)
        with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
            pool.starmap(work.fetch, [(url, ca, auth, number) for number in range(TASKS)], chunksize=10)
        assert len(work.calls()) == 4
