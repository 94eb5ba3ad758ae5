"""Cluster mode's one rule: all keys of one call are in one slot."""

from typing import Any

from lambda_router_queue.queue_keys import QueueKeys

ALL = QueueKeys("some-queue")


def every_key(keys: QueueKeys) -> list[str]:
    per_job = [keys.job("job_1"), keys.owner("a"), keys.open_jobs("a"), keys.rate("a"), keys.idempotency("a", "{k}")]
    return [*keys.streams, keys.scheduled, keys.retrying, keys.dead, keys.flow, keys.workers, *per_job]


def test_all_keys_of_a_queue_are_in_one_slot(db: Any) -> None:
    assert len({db.execute_command("CLUSTER KEYSLOT", key) for key in every_key(ALL)} if is_cluster(db) else {0}) == 1


def test_two_queues_may_be_in_two_slots(db: Any) -> None:
    from redis.crc import key_slot

    assert len({key_slot(key.encode()) for key in every_key(ALL)}) == 1
    assert key_slot(QueueKeys("other").flow.encode()) != key_slot(ALL.flow.encode())


def is_cluster(db: Any) -> bool:
    return type(db).__name__ == "RedisCluster"
