# The streaming function, and the stack without it.

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

run "streams" {
  variables {
    reserved_concurrency        = 10
    stream_reserved_concurrency = 100
    snap_start                  = true
    kms_key_arn                 = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    vpc_config                  = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"] }
  }

  override_resource {
    target = aws_lambda_alias.stream[0]
    values = {
      arn              = "arn:aws:lambda:eu-central-1:123456789012:function:lambda-router-prod-stream:live"
      function_version = "3"
    }
  }

  override_resource {
    target = aws_lambda_function.stream[0]
    values = { arn = "arn:aws:lambda:eu-central-1:123456789012:function:lambda-router-prod-stream", version = "3" }
  }

  # function

  assert {
    condition     = aws_lambda_function.stream[0].function_name == "lambda-router-prod-stream"
    error_message = "It is named for the stack."
  }
  assert {
    condition = alltrue([
      for name in ["architectures", "description", "filename", "handler", "kms_key_arn", "memory_size", "publish", "role", "runtime", "source_code_hash", "tracing_config"] :
      jsonencode(aws_lambda_function.stream[0][name]) == jsonencode(aws_lambda_function.api_handler[name])
    ])
    error_message = "It is the first function again: the same zip, role, processor, memory and key."
  }
  assert {
    condition = (
      aws_lambda_function.stream[0].vpc_config[0].subnet_ids == toset(["subnet-1"]) &&
      aws_lambda_function.stream[0].vpc_config[0].security_group_ids == toset(["sg-1"])
    )
    error_message = "It is in the same network."
  }
  assert {
    condition = {
      for name, value in aws_lambda_function.stream[0].environment[0].variables :
      name => value if value != lookup(aws_lambda_function.api_handler.environment[0].variables, name, null)
      } == {
      AWS_LAMBDA_EXEC_WRAPPER = "/var/task/chalicelib/streaming/wrapper"
      ROUTER_WAITS_CAP        = "80"
    }
    error_message = "Its variables are the first function's but for the loop that starts it and four fifths of its own executions."
  }
  assert {
    condition     = length(setsubtract(keys(aws_lambda_function.api_handler.environment[0].variables), keys(aws_lambda_function.stream[0].environment[0].variables))) == 0
    error_message = "It lacks none of the first function's variables."
  }
  assert {
    condition     = aws_lambda_function.stream[0].timeout == 900 && aws_lambda_function.stream[0].reserved_concurrent_executions == 100
    error_message = "It may take as long as Lambda lets it, on executions of its own."
  }
  assert {
    condition     = length(aws_lambda_function.stream[0].snap_start) == 0 && length(aws_lambda_function.api_handler.snap_start) == 1
    error_message = "It has no snapshot, even if the first function has one."
  }
  assert {
    condition     = aws_lambda_function.stream[0].logging_config[0].log_group == "/aws/lambda/lambda-router-prod-stream" && aws_cloudwatch_log_group.stream[0].retention_in_days == 365
    error_message = "It has a log group of its own, which forgets, too."
  }
  assert {
    condition     = aws_cloudwatch_log_group.stream[0].kms_key_id == var.kms_key_arn
    error_message = "That group is encrypted like the others."
  }

  # who calls it

  assert {
    condition     = aws_lambda_alias.stream[0].name == "live" && aws_lambda_permission.stream_rest_api[0].qualifier == "live" && aws_lambda_permission.warm_stream[0].qualifier == "live"
    error_message = "It is called by its alias only."
  }
  assert {
    condition     = aws_lambda_permission.stream_rest_api[0].source_arn == "arn:aws:execute-api:eu-central-1:123456789012:api1234567/api/*"
    error_message = "Of APIs, only this one's stage may call it."
  }
  assert {
    condition     = aws_lambda_permission.warm_stream[0].source_arn == aws_cloudwatch_event_rule.warm[0].arn && aws_cloudwatch_event_target.warm_stream[0].arn == aws_lambda_alias.stream[0].arn
    error_message = "The rule that warms the first function warms this one, too."
  }
  assert {
    condition     = aws_lambda_function_event_invoke_config.stream[0].maximum_retry_attempts == 0
    error_message = "A failed warm event is not sent again."
  }

  # routes

  assert {
    condition     = local.stream_invoke_arn == "arn:aws:apigateway:eu-central-1:lambda:path/2021-11-15/functions/arn:aws:lambda:eu-central-1:123456789012:function:lambda-router-prod-stream:live/response-streaming-invocations"
    error_message = "API Gateway streams from the alias."
  }
  assert {
    condition = toset([
      for path, methods in jsondecode(aws_api_gateway_rest_api.rest_api.body).paths : path
      if anytrue([for operation in methods : try(operation["x-amazon-apigateway-integration"].responseTransferMode, "") == "STREAM"])
      ]) == toset([
      "/v1/models", "/v1/models/{model}", "/v1/responses", "/v1/responses/{response_id}", "/v1/responses/{response_id}/cancel",
      "/v1/responses/{response_id}/input_items", "/v1/chat/completions",
    ])
    error_message = "The OpenAI API streams, and nothing else."
  }
  assert {
    condition = alltrue(flatten([
      for methods in jsondecode(local.streamed_paths) : [
        for operation in methods : operation["x-amazon-apigateway-integration"].timeoutInMillis == 900000
      ]
    ]))
    error_message = "API Gateway waits as long as the function may take."
  }
  assert {
    condition = alltrue([
      for path, methods in jsondecode(local.chalice_api_swagger).paths :
      { for method, operation in methods : method => operation.security } ==
      { for method, operation in jsondecode(aws_api_gateway_rest_api.rest_api.body).paths[path] : method => operation.security }
      if startswith(path, "/v1/")
    ])
    error_message = "What streams has the same authorizer and scope."
  }
  assert {
    condition     = length(aws_api_gateway_rest_api.rest_api.body) > 10000 && aws_api_gateway_deployment.rest_api.triggers["redeployment"] == sha1(aws_api_gateway_rest_api.rest_api.body)
    error_message = "The API is deployed again when the streaming paths change."
  }

  # alarms

  assert {
    condition = alltrue([
      for name in ["stream-errors", "stream-throttles", "stream-duration"] :
      aws_cloudwatch_metric_alarm.each[name].dimensions == tomap({ FunctionName = "lambda-router-prod-stream", Resource = "lambda-router-prod-stream:live" })
    ])
    error_message = "They watch this function's alias."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.each["stream-duration"].threshold == 330000
    error_message = "An answer that outlasts router_stream_seconds by half a minute was not ended."
  }

  # told

  assert {
    condition = output.stream_function == {
      function_name       = "lambda-router-prod-stream"
      function_alias      = "live"
      function_arn        = "arn:aws:lambda:eu-central-1:123456789012:function:lambda-router-prod-stream"
      function_invoke_arn = local.stream_invoke_arn
      function_variables  = aws_lambda_function.stream[0].environment[0].variables
      code_sha256         = output.code_sha256
      api_source_arn      = output.api_source_arn
    }
    error_message = "The outputs tell of this function what they tell of the first."
  }
  assert {
    condition     = output.log_groups["stream"] == "/aws/lambda/lambda-router-prod-stream"
    error_message = "Its log group is told."
  }
}

run "longest_answers" {
  variables {
    router_stream_seconds       = 890
    stream_reserved_concurrency = -1
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.each["stream-duration"].threshold == 895000
    error_message = "The alarm goes off before Lambda stops the function, or it never would."
  }
  assert {
    condition     = aws_lambda_function.stream[0].environment[0].variables.ROUTER_WAITS_CAP == "8"
    error_message = "Held answers leave a fifth of a new account's 10 executions."
  }
}

run "does_not_stream" {
  variables {
    streaming = false
  }

  assert {
    condition = sum([for made in [
      aws_lambda_function.stream, aws_lambda_alias.stream, aws_cloudwatch_log_group.stream, aws_lambda_permission.stream_rest_api,
      aws_lambda_permission.warm_stream, aws_cloudwatch_event_target.warm_stream, aws_lambda_function_event_invoke_config.stream,
    ] : length(made)]) == 0
    error_message = "Nothing is made for it."
  }
  assert {
    condition     = aws_api_gateway_rest_api.rest_api.body == local.chalice_api_swagger && !strcontains(aws_api_gateway_rest_api.rest_api.body, "STREAM")
    error_message = "The first function answers every path, all at once."
  }
  assert {
    condition     = output.stream_function == null && length(output.ssm_parameters) == 5 && length(output.log_groups) == 3
    error_message = "Nothing is told of it."
  }
  assert {
    condition     = length([for name in output.alarms : name if strcontains(name, "stream")]) == 0 && !strcontains(aws_cloudwatch_dashboard.overview.dashboard_body, "-stream")
    error_message = "Nothing watches it."
  }
}

run "refuses_a_stage_that_could_be_another_stacks_function" {
  command = plan
  variables {
    stage_name = "prod-stream"
  }
  expect_failures = [var.stage_name]
}

run "refuses_answers_that_lambda_would_break_off" {
  command = plan
  variables {
    router_stream_seconds = 891
  }
  expect_failures = [var.router_stream_seconds]
}
