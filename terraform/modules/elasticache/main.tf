# Valkey on ElastiCache nodes: TLS only, two users with just their commands and keys, nothing evicted.

locals {
  # The family that a version's parameters belong to: valkey8 for 8.1.
  family = "valkey${split(".", var.engine_version)[0]}"
  host   = aws_elasticache_replication_group.redis.primary_endpoint_address
}

resource "aws_elasticache_parameter_group" "redis" {
  name        = "${var.name}-${local.family}"
  family      = local.family
  description = "No key is evicted: a full Redis refuses jobs, and loses none."

  parameter {
    name  = "maxmemory-policy"
    value = "noeviction"
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_elasticache_subnet_group" "redis" {
  name        = var.name
  description = "Where the nodes of ${var.name} are."
  subnet_ids  = local.subnet_ids
}

resource "aws_elasticache_replication_group" "redis" {
  # checkov:skip=CKV2_AWS_50: two zones and failover are the default; who sets replicas to 0 wants neither.
  replication_group_id = var.name
  description          = "The queue of ${var.name}."
  engine               = "valkey"
  engine_version       = var.engine_version
  node_type            = var.node_type
  port                 = local.port

  num_cache_clusters         = 1 + var.replicas
  automatic_failover_enabled = var.replicas > 0
  multi_az_enabled           = var.replicas > 0

  parameter_group_name = aws_elasticache_parameter_group.redis.name
  security_group_ids   = [aws_security_group.redis.id]
  subnet_group_name    = aws_elasticache_subnet_group.redis.name
  user_group_ids       = [aws_elasticache_user_group.redis.user_group_id]

  at_rest_encryption_enabled = true
  kms_key_id                 = var.kms_key_arn
  transit_encryption_enabled = true
  transit_encryption_mode    = "required"

  auto_minor_version_upgrade = true
  snapshot_retention_limit   = var.snapshot_retention_days
}

# The URLs, for the function and for an administrator who sets up a box. They are sent without entering the state.
resource "aws_ssm_parameter" "url" {
  for_each = local.users

  name        = "${var.parameter_prefix}/${each.value.parameter}"
  description = "URL of Redis for the user ${each.key}."
  type        = "SecureString"
  key_id      = var.kms_key_arn
  value_wo    = "rediss://${each.key}:${one(aws_elasticache_user.side[each.key].passwords)}@${local.host}:${local.port}/0"

  # Another address means another URL. A password that is changed as README.md says is stored by hand. With another key
  # the value has to be sent again, since the provider keeps none.
  value_wo_version = parseint(substr(sha256(join(":", compact([local.host, local.port, var.kms_key_arn]))), 0, 7), 16)

  # With another description the provider sends a value too, and it knows none.
  lifecycle {
    ignore_changes = [description]
  }
}
