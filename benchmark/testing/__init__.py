"""Contract suites for plug-in authors: subclass one, name your component, and pytest does the rest.

>>> from benchmark.testing import MethodContract
>>> class TestMine(MethodContract):
...     name = "my-method"  # as registered under the entry point `bench.methods`
"""

from __future__ import annotations

from benchmark.testing.datasets import DatasetContract
from benchmark.testing.encoder_contract import EncoderContract
from benchmark.testing.engine_contract import EngineContract
from benchmark.testing.methods import MethodContract
from benchmark.testing.pooling_contract import PoolingContract

__all__ = ["DatasetContract", "EncoderContract", "EngineContract", "MethodContract", "PoolingContract"]
