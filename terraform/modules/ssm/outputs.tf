output "read_arns" {
  description = "ARNs of the parameters to be read, for the policy of whoever reads them."
  value       = { for key, name in var.reads : key => "${local.arn_prefix}${name}" }
}

output "read_names" {
  description = "Names of the parameters to be read."
  value       = var.reads
}

output "write_names" {
  description = "Names of the written parameters."
  value       = { for key, parameter in aws_ssm_parameter.write : key => parameter.name }
}
