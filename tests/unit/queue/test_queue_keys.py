"""lambda_router_queue.queue_keys: names are what the protocol promises to workers in other languages."""

import pytest
from redis.crc import key_slot

from lambda_router_queue.queue_keys import GROUP, LANES, PRIORITIES, QueueKeys

KEYS = QueueKeys("tinyllama")

PROMISED = {
    "lr:{tinyllama}:jobs:high:0": KEYS.stream("high", 0),
    "lr:{tinyllama}:jobs:normal:1": KEYS.stream("normal", 1),
    "lr:{tinyllama}:jobs:low:3": KEYS.stream("low", 3),
    "lr:{tinyllama}:scheduled": KEYS.scheduled,
    "lr:{tinyllama}:retrying": KEYS.retrying,
    "lr:{tinyllama}:dead": KEYS.dead,
    "lr:{tinyllama}:flow": KEYS.flow,
    "lr:{tinyllama}:workers": KEYS.workers,
    "lr:{tinyllama}:job:job_1": KEYS.job("job_1"),
    "lr:{tinyllama}:owner:o": KEYS.owner("o"),
    "lr:{tinyllama}:open:o": KEYS.open_jobs("o"),
    "lr:{tinyllama}:rate:o": KEYS.rate("o"),
    "lr:{tinyllama}:idem:o:k": KEYS.idempotency("o", "k"),
}


@pytest.mark.parametrize(("name", "key"), PROMISED.items(), ids=PROMISED)
def test_a_key_has_the_name_that_is_promised(name: str, key: str):
    assert key == name


def test_workers_share_one_group_and_claim_high_first():
    assert GROUP == "workers"
    assert PRIORITIES == ("high", "normal", "low")
    names = [stream.removeprefix("lr:{tinyllama}:jobs:") for stream in KEYS.streams]
    assert names == [f"{priority}:{lane}" for priority in PRIORITIES for lane in range(LANES)]


def test_no_two_keys_are_the_same():
    assert len(set(PROMISED.values())) == len(PROMISED)


@pytest.mark.parametrize("idempotency_key", ["k", "}{other}", "a:b", "{", "}"])
def test_all_keys_of_a_queue_are_on_one_cluster_node(idempotency_key: str):
    keys = [*PROMISED.values(), KEYS.idempotency("o", idempotency_key)]
    assert {key_slot(key.encode()) for key in keys} == {key_slot(b"tinyllama")}


def test_queues_do_not_share_keys():
    assert QueueKeys("a").job("job_1") != QueueKeys("b").job("job_1")
    assert set(QueueKeys("a").streams).isdisjoint(QueueKeys("b").streams)
