# Two users, with the commands and keys of docs/operations.md, "Users": a test compares. ACLs apply inside scripts too.

locals {
  users = {
    router = {
      parameter = "redis-url"
      commands = [
        "ping", "info", "eval", "evalsha", "time", "get", "set", "pexpire", "pexpireat", "pttl",
        "del", "hget", "hmget", "hset", "hdel", "hgetall", "hincrby", "hlen", "hstrlen",
        "xadd", "xack", "xdel", "xlen", "xread", "zadd", "zcard", "zrem", "zrange", "zremrangebyscore",
      ]
    }
    worker = {
      parameter = "worker-redis-url"
      commands = [
        "ping", "info", "eval", "evalsha", "time", "exists", "get", "set", "pexpire", "pexpireat", "pttl",
        "hget", "hmget", "hset", "hdel", "hgetall", "hincrby", "hlen", "hstrlen",
        "xadd", "xack", "xdel", "xlen", "zadd", "zcard", "zrem", "zrange", "zremrangebyscore",
        "client|setinfo", "del", "hsetnx", "hrandfield", "zscore", "xrange", "xrevrange", "xreadgroup", "xclaim",
        "xautoclaim", "xpending", "xtrim", "xgroup|create", "xgroup|delconsumer", "xinfo|groups", "xinfo|consumers",
        "scan",
      ]
    }
  }
  keys = join(" ", [for queue in var.queues : "~lr:{${queue}}:*"])
}

# ElastiCache refuses `reset` in these permissions; a new user has none anyway.
# Passwords of 256 random bits, made once, at the first apply, and kept in the state: the provider takes them in no other
# way. README.md says how to replace them by ones that no state has seen.
resource "aws_elasticache_user" "side" {
  for_each = local.users

  user_id       = "${var.name}-${each.key}"
  user_name     = each.key
  engine        = "valkey"
  access_string = "on ${local.keys} -@all ${join(" ", formatlist("+%s", each.value.commands))}"
  passwords     = [replace("${uuid()}${uuid()}", "-", "")]

  lifecycle {
    ignore_changes = [passwords]
  }
}

# Who connects without a name is this one. Users of a Valkey group need a password; nobody is told this one:
# https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/Clusters.RBAC.html
resource "aws_elasticache_user" "default" {
  user_id       = "${var.name}-default"
  user_name     = "default"
  engine        = "valkey"
  access_string = "off -@all"
  passwords     = [replace("${uuid()}${uuid()}", "-", "")]

  lifecycle {
    ignore_changes = [passwords]
  }
}

resource "aws_elasticache_user_group" "redis" {
  user_group_id = var.name
  engine        = "valkey"
  user_ids      = concat([aws_elasticache_user.default.user_id], [for user in aws_elasticache_user.side : user.user_id])
}
