"""The contract suites over everything registered: a new component is picked up by itself."""

import pytest

from benchmark.registry import datasets, encoders, methods
from benchmark.running.executors.engines import engines
from benchmark.running.executors.slurm_options import SlurmOptions
from benchmark.testing import DatasetContract, EncoderContract, EngineContract, MethodContract, PoolingContract


class TestEveryDataset(DatasetContract):
    @pytest.fixture(scope="class", params=datasets().names())
    @classmethod
    def component(cls, request):
        return request.param


class TestEveryMethod(MethodContract):
    @pytest.fixture(scope="class", params=methods().names())
    @classmethod
    def component(cls, request):
        return request.param


class TestEveryEncoder(EncoderContract):
    @pytest.fixture(scope="class", params=encoders().names())
    @classmethod
    def component(cls, request):
        return request.param


class TestEveryPooling(PoolingContract):
    @pytest.fixture(params=[name for name in methods().names() if hasattr(methods().load(name), "pooling")])
    def component(self, request):
        return request.param


class TestLocalEngine(EngineContract):
    name = "local"


class TestSubmititLocally(EngineContract):
    """The engine for SLURM on submitit's local executor, whose jobs are processes of this machine."""

    @pytest.fixture
    def engine(self, tmp_path):
        return engines().load("slurm")(SlurmOptions(cluster="local", folder=tmp_path / "jobs"))
