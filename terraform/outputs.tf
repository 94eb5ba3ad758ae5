output "alarms" {
  description = "Names of the alarms that a release can set off."
  value       = [for name, alarm in merge(aws_cloudwatch_metric_alarm.each, aws_cloudwatch_metric_alarm.sum) : alarm.alarm_name if !contains(["model-server", "jobs-failed"], name)]
}

# Not secret: marked so that a plan does not print all of it.
output "api_body" {
  description = "OpenAPI document that the API was last made from, as text."
  value       = aws_api_gateway_rest_api.rest_api.body
  sensitive   = true
}

output "api_id" {
  description = "Id of the REST API."
  value       = aws_api_gateway_rest_api.rest_api.id
}

output "api_source_arn" {
  description = "Where API Gateway's calls of the alias come from, as Lambda's permission names it."
  value       = aws_lambda_permission.rest_api_invoke.source_arn
}

output "api_stage_name" {
  description = "Name of the stage that serves: the first part of the URL's path."
  value       = aws_api_gateway_stage.live.stage_name
}

output "api_url" {
  description = "Where callers find the API: the custom domain with its base path, or else the stage's own URL."
  value       = local.api_url
}

output "code_sha256" {
  description = "SHA-256 of the zip that was last applied, as Lambda writes it."
  value       = aws_lambda_function.api_handler.source_code_hash
}

output "custom_domain" {
  description = "Name and base path of the custom domain; empty without one."
  value       = { for domain in var.custom_domain[*] : domain.name => domain.base_path }
}

output "default_endpoint" {
  description = "Whether the API also answers at its own address."
  value       = var.default_endpoint
}

output "domain_target" {
  description = "By custom domain, where its DNS record must lead: an alias to name in zone_id, or a CNAME to name."
  value = {
    for name, domain in aws_api_gateway_domain_name.custom :
    name => { name = domain.regional_domain_name, zone_id = domain.regional_zone_id }
  }
}

output "function_alias" {
  description = "The alias that API Gateway calls."
  value       = aws_lambda_alias.live.name
}

output "function_arn" {
  description = "ARN of the function."
  value       = aws_lambda_function.api_handler.arn
}

output "function_invoke_arn" {
  description = "The alias as an integration of API Gateway names it."
  value       = aws_lambda_alias.live.invoke_arn
}

output "function_name" {
  description = "Name of the function."
  value       = aws_lambda_function.api_handler.function_name
}

output "function_variables" {
  description = "Environment variables of the function; none holds a secret."
  value       = one(aws_lambda_function.api_handler.environment).variables
}

output "log_groups" {
  description = "Names of the log groups: of the functions, of API Gateway's access log, of its errors."
  value = merge(
    {
      function  = aws_cloudwatch_log_group.function.name
      access    = aws_cloudwatch_log_group.access.name
      execution = aws_cloudwatch_log_group.execution.name
    },
    { for group in aws_cloudwatch_log_group.stream : "stream" => group.name },
  )
}

output "log_retention_days" {
  description = "Days that the log groups keep lines."
  value       = aws_cloudwatch_log_group.function.retention_in_days
}

output "region" {
  description = "Region that everything is in."
  value       = var.aws_region
}

output "runtime_role_arn" {
  description = "ARN of the function's role."
  value       = module.iam.runtime_role_arn
}

output "ssm_parameters" {
  description = "Names of the parameters that tell other stacks where this one is."
  value       = module.ssm.write_names
}

output "stage_arn" {
  description = "ARN of the API's stage, to associate a web ACL (WAF) with."
  value       = aws_api_gateway_stage.live.arn
}

output "stream_function" {
  description = "The streaming function, with members named like the outputs function_…, code_sha256 and api_source_arn; null without streaming."
  value = one([
    for function in aws_lambda_function.stream : {
      function_name       = function.function_name
      function_alias      = aws_lambda_alias.stream[0].name
      function_arn        = function.arn
      function_invoke_arn = local.stream_invoke_arn
      function_variables  = one(function.environment).variables
      code_sha256         = function.source_code_hash
      api_source_arn      = aws_lambda_permission.stream_rest_api[0].source_arn
    }
  ])
}
