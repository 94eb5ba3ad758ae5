# The stack with its defaults. Needs chalice.tf.json and deployment.zip (`make package`); no account, no credentials.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  aws_region            = "eu-central-1"
  cognito_aud           = "1h57kf5cpq17m0eml12EXAMPLE"
  cognito_user_pool_arn = "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_AbCdEf123"
  cognito_user_pool_id  = "eu-central-1_AbCdEf123"
  redis_url_parameter   = "/lambda-router/prod/redis-url"
  stage_name            = "prod"
}

run "defaults" {
  # function

  assert {
    condition     = aws_lambda_function.api_handler.function_name == "lambda-router-prod"
    error_message = "The function is named for app and stage."
  }
  assert {
    condition     = aws_lambda_function.api_handler.runtime == "python3.13" && aws_lambda_function.api_handler.handler == "app.app"
    error_message = "The function runs app.app on Python 3.13."
  }
  assert {
    condition     = aws_lambda_function.api_handler.publish
    error_message = "Each change publishes a version."
  }
  assert {
    condition     = aws_lambda_function.api_handler.timeout <= 29
    error_message = "API Gateway has gone after 29 s."
  }
  assert {
    condition     = aws_lambda_function.api_handler.memory_size == 512
    error_message = "512 MB is the default."
  }
  assert {
    condition     = aws_lambda_function.api_handler.reserved_concurrent_executions == 50
    error_message = "Connections to Redis are bounded by reserved concurrency."
  }
  assert {
    condition     = aws_lambda_function.api_handler.environment[0].variables.ROUTER_WAITS_CAP == "40"
    error_message = "Long polls have four fifths of reserved concurrency."
  }
  assert {
    condition     = aws_lambda_function.api_handler.tracing_config[0].mode == "PassThrough"
    error_message = "The function is traced only if asked for."
  }
  assert {
    condition     = aws_lambda_function.api_handler.logging_config[0].log_group == "/aws/lambda/lambda-router-prod"
    error_message = "The function writes to the group that Terraform owns."
  }
  assert {
    condition     = length(aws_lambda_function.api_handler.snap_start) == 0 && length(aws_lambda_function.api_handler.vpc_config) == 0
    error_message = "SnapStart and VPC are off unless asked for."
  }
  assert {
    condition     = aws_lambda_function.api_handler.role == module.iam.runtime_role_arn
    error_message = "The function has our role, not one of Chalice's."
  }
  assert {
    condition     = !contains(keys(aws_lambda_function.api_handler.environment[0].variables), "REDIS_URL")
    error_message = "The Redis URL is a secret: only its parameter's name is in the function's variables."
  }
  assert {
    condition = (
      aws_lambda_function.api_handler.environment[0].variables["REDIS_URL_PARAMETER"] == var.redis_url_parameter &&
      aws_lambda_function.api_handler.environment[0].variables["ROUTER_QUEUE_CAP"] == "10000" &&
      aws_lambda_function.api_handler.environment[0].variables["COGNITO_AUD"] == var.cognito_aud
    )
    error_message = "Variables reach the function."
  }
  assert {
    condition     = lookup(coalesce(aws_lambda_function.api_handler.tags, {}), "aws-chalice", null) == null
    error_message = "An upgrade of Chalice must not change the function."
  }

  assert {
    condition     = aws_lambda_function.api_handler.description == local.build
    error_message = "A published version says which build it is."
  }

  # alias

  assert {
    condition     = aws_lambda_alias.live.name == "live" && aws_lambda_alias.live.function_version == aws_lambda_function.api_handler.version
    error_message = "Alias live serves the newest version."
  }
  assert {
    condition     = aws_lambda_permission.rest_api_invoke.qualifier == "live" && aws_lambda_permission.warm[0].qualifier == "live"
    error_message = "Permissions are for the alias, so $LATEST cannot be called."
  }
  assert {
    condition     = aws_lambda_permission.rest_api_invoke.source_arn == "arn:aws:execute-api:eu-central-1:123456789012:api1234567/api/*"
    error_message = "Only this API's own stage may call."
  }
  assert {
    condition     = aws_lambda_permission.warm[0].source_arn == aws_cloudwatch_event_rule.warm[0].arn
    error_message = "Only the warm rule may call, not any rule."
  }
  assert {
    condition     = aws_lambda_function_event_invoke_config.live.maximum_retry_attempts == 0
    error_message = "A failed warm event is not sent again."
  }

  # routes

  assert {
    condition = toset(keys(jsondecode(aws_api_gateway_rest_api.rest_api.body).paths)) == toset([
      "/health", "/ready", "/openapi.json", "/.well-known/oauth-protected-resource",
      "/v1/jobs", "/v1/jobs/batch", "/v1/jobs/{job_id}", "/v1/jobs/{job_id}/events",
      "/v1/models", "/v1/models/{model}", "/v1/responses", "/v1/responses/{response_id}",
      "/v1/responses/{response_id}/cancel", "/v1/responses/{response_id}/input_items", "/v1/chat/completions",
    ])
    error_message = "The API has these routes and no other."
  }
  assert {
    condition = alltrue(flatten([
      for path, methods in jsondecode(aws_api_gateway_rest_api.rest_api.body).paths : [
        for method, operation in methods :
        operation["x-amazon-apigateway-integration"].type == "aws_proxy" &&
        operation["x-amazon-apigateway-integration"].uri == (
          can(regex("^/v1/(models|responses|chat)", path)) ? local.stream_invoke_arn : aws_lambda_alias.live.invoke_arn
        )
      ]
    ]))
    error_message = "Every method is integrated with the alias."
  }
  assert {
    condition = alltrue(flatten([
      for path, methods in jsondecode(aws_api_gateway_rest_api.rest_api.body).paths : [
        for method, operation in methods : operation.security == [{ cognito = [var.router_scope] }]
      ] if startswith(path, "/v1/")
    ]))
    error_message = "Every method below /v1 has the authorizer and the scope: without a scope API Gateway takes ID tokens."
  }
  assert {
    condition = alltrue(flatten([
      for path, methods in jsondecode(aws_api_gateway_rest_api.rest_api.body).paths : [
        for method, operation in methods : try(length(operation.security), 0) == 0
      ] if !startswith(path, "/v1/")
    ]))
    error_message = "Health, readiness and the document are open."
  }
  assert {
    condition = (
      jsondecode(aws_api_gateway_rest_api.rest_api.body).components.securitySchemes.cognito["x-amazon-apigateway-authorizer"].providerARNs ==
      [var.cognito_user_pool_arn]
    )
    error_message = "The authorizer asks the pool, and no other."
  }
  assert {
    condition     = startswith(jsondecode(aws_api_gateway_rest_api.rest_api.body).openapi, "3.0")
    error_message = "The body is OpenAPI 3."
  }
  assert {
    condition = alltrue([
      for kind in ["UNAUTHORIZED", "ACCESS_DENIED", "THROTTLED", "INTEGRATION_TIMEOUT", "DEFAULT_5XX"] :
      strcontains(jsonencode(jsondecode(aws_api_gateway_rest_api.rest_api.body)["x-amazon-apigateway-gateway-responses"][kind]), "application/problem+json")
    ])
    error_message = "API Gateway's own answers are problem+json."
  }
  assert {
    condition     = aws_api_gateway_rest_api.rest_api.endpoint_configuration[0].types == tolist(["REGIONAL"])
    error_message = "The API is regional."
  }
  assert {
    condition     = one(values(aws_api_gateway_deployment.rest_api.triggers)) == sha1(aws_api_gateway_rest_api.rest_api.body)
    error_message = "The API is deployed again exactly when its body changes."
  }

  # stage

  assert {
    condition     = aws_api_gateway_stage.live.stage_name == "api" && aws_api_gateway_stage.live.deployment_id == aws_api_gateway_deployment.rest_api.id
    error_message = "The stage serves the newest deployment."
  }
  assert {
    condition     = aws_api_gateway_stage.live.xray_tracing_enabled == false
    error_message = "The stage is traced only if asked for."
  }
  assert {
    condition     = aws_api_gateway_stage.live.access_log_settings[0].destination_arn == aws_cloudwatch_log_group.access.arn
    error_message = "The stage has an access log."
  }
  assert {
    condition     = jsondecode(aws_api_gateway_stage.live.access_log_settings[0].format).requestId == "$context.requestId"
    error_message = "The access log is JSON, with the request's id."
  }
  assert {
    condition     = !strcontains(aws_api_gateway_stage.live.access_log_settings[0].format, "xray")
    error_message = "The access log has no trace ids unless requests are traced."
  }
  assert {
    condition     = !can(regex("authorizer|path\"|\\$context.path|requestOverride|header", aws_api_gateway_stage.live.access_log_settings[0].format))
    error_message = "The access log holds no claims, no paths and no headers."
  }
  assert {
    condition     = length(aws_api_gateway_stage.live.access_log_settings[0].format) < 3072
    error_message = "API Gateway takes formats below 3 KB."
  }
  assert {
    condition     = aws_api_gateway_method_settings.all.method_path == "*/*"
    error_message = "The settings are for every method."
  }
  assert {
    condition = (
      aws_api_gateway_method_settings.all.settings[0].throttling_rate_limit == 50 &&
      aws_api_gateway_method_settings.all.settings[0].throttling_burst_limit == 100
    )
    error_message = "The stage is throttled."
  }
  assert {
    condition     = aws_api_gateway_method_settings.all.settings[0].metrics_enabled == false && aws_api_gateway_method_settings.all.settings[0].logging_level == "ERROR"
    error_message = "The stage has an error log, and no metrics for each method unless asked for."
  }
  assert {
    condition     = !contains(flatten([for alarm in aws_cloudwatch_metric_alarm.each : keys(alarm.dimensions) if alarm.namespace == "AWS/ApiGateway"]), "Method")
    error_message = "No alarm depends on metrics for each method."
  }
  assert {
    condition     = !strcontains(aws_cloudwatch_dashboard.overview.dashboard_body, "\"Method\"")
    error_message = "The dashboard does not depend on metrics for each method."
  }
  assert {
    condition     = aws_api_gateway_method_settings.all.settings[0].data_trace_enabled == false
    error_message = "Bodies of requests, prompts that is, are never logged."
  }
  assert {
    condition     = aws_api_gateway_method_settings.all.settings[0].caching_enabled == false
    error_message = "Nothing is cached."
  }

  # logs

  assert {
    condition = alltrue([
      for group in [aws_cloudwatch_log_group.function, aws_cloudwatch_log_group.access, aws_cloudwatch_log_group.execution] :
      group.retention_in_days == 365
    ])
    error_message = "Every log group forgets after a year."
  }
  assert {
    condition     = aws_cloudwatch_log_group.execution.name == "API-Gateway-Execution-Logs_api1234567/api"
    error_message = "The group of API Gateway's errors has the name that API Gateway uses."
  }

  # alarms

  assert {
    condition     = toset(keys(aws_cloudwatch_metric_alarm.each)) == toset(["server-errors", "latency-p95", "throttles", "dead-letters", "model-server", "stream-duration", "stream-errors", "stream-throttles"])
    error_message = "There is an alarm for each of these."
  }
  assert {
    condition     = toset([for name in output.alarms : trimprefix(name, "lambda-router-prod-")]) == toset(["server-errors", "latency-p95", "throttles", "dead-letters", "queue-refusals", "stream-duration", "stream-errors", "stream-throttles"])
    error_message = "A gradual release is told of every alarm that a release can set off."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.each["server-errors"].metric_name == "5XXError" && aws_cloudwatch_metric_alarm.each["server-errors"].dimensions["ApiName"] == aws_api_gateway_rest_api.rest_api.name
    error_message = "5xx of this API."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.each["latency-p95"].extended_statistic == "p95"
    error_message = "The 95th percentile, no mean."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.each["throttles"].dimensions["Resource"] == "lambda-router-prod:live"
    error_message = "Throttles of the alias."
  }
  assert {
    condition = toset(flatten([for query in aws_cloudwatch_metric_alarm.sum["queue-refusals"].metric_query : [for metric in query.metric : metric.dimensions["reason"]]])) == toset([
      "queue-full", "queue-unavailable",
    ])
    error_message = "Refusals because of the queue are added up."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.sum : length(alarm.metric_query) <= 11])
    error_message = "CloudWatch adds up ten metrics at most."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.each["model-server"].comparison_operator == "LessThanThreshold" && aws_cloudwatch_metric_alarm.each["model-server"].statistic == "Minimum"
    error_message = "One worker of many whose model server is in trouble sets it off."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.each : alarm.treat_missing_data == "notBreaching"])
    error_message = "No traffic is no fault."
  }
  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.overview.dashboard_body).widgets) == 7
    error_message = "The dashboard has its charts."
  }

  # warm

  assert {
    condition     = aws_cloudwatch_event_target.warm[0].arn == aws_lambda_alias.live.arn
    error_message = "The rule warms the alias that API Gateway calls."
  }
  assert {
    condition     = jsondecode(aws_cloudwatch_event_target.warm[0].input).httpMethod == "GET" && jsondecode(aws_cloudwatch_event_target.warm[0].input).resource == "/health"
    error_message = "The event is GET /health."
  }
  assert {
    condition     = aws_cloudwatch_event_rule.warm[0].name == "lambda-router-prod-warm"
    error_message = "The rule's name has app and stage, so that no other stack takes it."
  }

  # told

  assert {
    condition     = output.api_url == "https://api1234567.execute-api.eu-central-1.amazonaws.com/api"
    error_message = "The URL has the stage in it."
  }
  assert {
    condition     = length(aws_api_gateway_domain_name.custom) + length(aws_api_gateway_base_path_mapping.custom) + length(aws_route53_record.custom) == 0
    error_message = "Without custom_domain nothing is made for it."
  }
  assert {
    condition     = !aws_api_gateway_rest_api.rest_api.disable_execute_api_endpoint && one(keys(aws_api_gateway_deployment.rest_api.triggers)) == "redeployment"
    error_message = "The default endpoint is on, and says nothing to the deployment."
  }
  assert {
    condition     = output.ssm_parameters["api_url"] == "/lambda-router/prod/outputs/api_url"
    error_message = "The URL stands in SSM."
  }
  assert {
    condition     = toset(keys(output.ssm_parameters)) == toset(["api_id", "api_url", "function_alias", "function_arn", "function_version", "stream_function_alias", "stream_function_arn", "stream_function_version"])
    error_message = "These stand in SSM, and no more."
  }
}
