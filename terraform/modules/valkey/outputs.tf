output "address" {
  description = "The Elastic IP that function and workers connect to."
  value       = aws_eip.this.public_ip
}

output "instance_id" {
  description = "The instance, for Session Manager: aws ssm start-session --target."
  value       = aws_instance.this.id
}

output "parameters" {
  description = "Names of the parameters that the first boot writes: the function's URL, the workers' URL, the authority."
  value = {
    redis_authority  = aws_ssm_parameter.published["redis-authority"].name
    redis_url        = aws_ssm_parameter.published["redis-url"].name
    worker_redis_url = aws_ssm_parameter.published["worker-redis-url"].name
  }
}

output "volume_id" {
  description = "The data volume: append-only file, authority and passwords."
  value       = aws_ebs_volume.data.id
}

output "wait_for" {
  description = "What make wait-valkey needs to know: the instance, the parameter in which it says that it is ready, and the region."
  value = {
    instance_id = aws_instance.this.id
    parameter   = aws_ssm_parameter.published["valkey-ready"].name
    region      = data.aws_region.current.id
  }
}
