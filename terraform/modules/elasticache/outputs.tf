output "endpoint" {
  description = "Host and port of Redis, inside the VPC."
  value       = "${local.host}:${local.port}"
}

output "engine_version" {
  description = "Version that runs, with its patch."
  value       = aws_elasticache_replication_group.redis.engine_version_actual
}

output "redis_security_group_id" {
  description = "Security group of Redis, for more rules than box_cidrs and box_security_group_ids make."
  value       = aws_security_group.redis.id
}

output "stack_variables" {
  description = "Values for the stack's variables of these names."
  value = {
    redis_kms_key_arn   = var.kms_key_arn
    redis_url_parameter = aws_ssm_parameter.url["router"].name
    vpc_config = {
      subnet_ids         = local.subnet_ids
      security_group_ids = [aws_security_group.function.id]
    }
  }
}

output "subnet_ids" {
  description = "Subnets of Redis and the functions."
  value       = local.subnet_ids
}

output "user_ids" {
  description = "Ids of the users, by name, for a change of their passwords."
  value       = { for name, user in aws_elasticache_user.side : name => user.user_id }
}

output "vpc_id" {
  description = "The VPC."
  value       = local.vpc_id
}

output "worker_redis_url_parameter" {
  description = "Name of the SecureString with the worker's URL."
  value       = aws_ssm_parameter.url["worker"].name
}
