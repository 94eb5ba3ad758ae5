# The stack with everything switched on, and what its variables refuse.

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

run "everything" {
  variables {
    alarm_actions      = ["arn:aws:sns:eu-central-1:123456789012:alarms"]
    kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    log_retention_days = 30
    method_metrics     = true
    snap_start         = true
    timeout            = 15
    tracing            = true
    vpc_config         = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"] }

    cognito_aud_parameter   = "/lambda-router/prod/pages-client"
    cognito_login_client_id = "2h68lg6dqr28n1fnm23EXAMPLE"
    redis_ca_parameter      = "/lambda-router/prod/redis-authority"
  }

  assert {
    condition = toset(values(module.ssm.read_arns)) == toset([
      for name in ["pages-client", "redis-authority", "redis-url"] :
      "arn:aws:ssm:eu-central-1:123456789012:parameter/lambda-router/prod/${name}"
    ])
    error_message = "The function's role may read the parameters that its variables name, and no others."
  }
  assert {
    condition = (
      aws_lambda_function.api_handler.environment[0].variables["COGNITO_AUD_PARAMETER"] == var.cognito_aud_parameter &&
      aws_lambda_function.api_handler.environment[0].variables["COGNITO_LOGIN_CLIENT_ID"] == var.cognito_login_client_id &&
      aws_lambda_function.api_handler.environment[0].variables["REDIS_CA_PARAMETER"] == var.redis_ca_parameter
    )
    error_message = "The function knows the parameters' names."
  }

  assert {
    condition     = aws_lambda_function.api_handler.snap_start[0].apply_on == "PublishedVersions"
    error_message = "SnapStart is on for published versions."
  }
  assert {
    condition = (
      aws_lambda_function.api_handler.tracing_config[0].mode == "Active" &&
      aws_lambda_function.stream[0].tracing_config[0].mode == "Active" &&
      aws_api_gateway_stage.live.xray_tracing_enabled &&
      strcontains(aws_api_gateway_stage.live.access_log_settings[0].format, "$context.xrayTraceId")
    )
    error_message = "Traces are a variable, of both functions and the stage."
  }
  assert {
    condition     = aws_api_gateway_method_settings.all.settings[0].metrics_enabled
    error_message = "Metrics for each method are a variable."
  }
  assert {
    condition     = aws_lambda_function.api_handler.vpc_config[0].subnet_ids == toset(["subnet-1"])
    error_message = "The function is in the VPC."
  }
  assert {
    condition     = aws_lambda_function.api_handler.timeout == 15
    error_message = "The timeout is a variable."
  }
  assert {
    condition = alltrue([
      for group in [aws_cloudwatch_log_group.function, aws_cloudwatch_log_group.access, aws_cloudwatch_log_group.execution] :
      group.kms_key_id == var.kms_key_arn && group.retention_in_days == 30
    ])
    error_message = "Every log group is encrypted with the key."
  }
  assert {
    condition     = aws_lambda_function.api_handler.kms_key_arn == var.kms_key_arn
    error_message = "The function's variables are encrypted with the key."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.sum["queue-refusals"].alarm_actions == toset(var.alarm_actions)
    error_message = "Alarms are sent on."
  }
}

run "custom_domain" {
  variables {
    default_endpoint = false
    custom_domain = {
      name            = "api.example.com"
      certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/11111111-2222-3333-4444-555555555555"
      base_path       = "router"
      zone_id         = "Z0123456789ABCDEFGHIJ"
    }
  }

  assert {
    condition     = output.api_url == "https://api.example.com/router"
    error_message = "The URL is the domain's, with the base path."
  }
  assert {
    condition     = module.ssm.write_names["api_url"] == output.ssm_parameters["api_url"] && local.api_url == output.api_url
    error_message = "SSM says the same."
  }
  assert {
    condition = alltrue([
      aws_api_gateway_base_path_mapping.custom[0].api_id == aws_api_gateway_rest_api.rest_api.id,
      aws_api_gateway_base_path_mapping.custom[0].stage_name == aws_api_gateway_stage.live.stage_name,
      aws_api_gateway_base_path_mapping.custom[0].base_path == "router",
    ])
    error_message = "The base path leads to this stack's stage."
  }
  assert {
    condition = alltrue([
      aws_api_gateway_domain_name.custom["api.example.com"].security_policy == "TLS_1_2",
      aws_api_gateway_domain_name.custom["api.example.com"].endpoint_configuration[0].types[0] == "REGIONAL",
    ])
    error_message = "The domain is regional and takes no older TLS."
  }
  assert {
    condition     = one(aws_route53_record.custom["api.example.com"].alias).name == "d-abc.execute-api.eu-central-1.amazonaws.com"
    error_message = "The record leads to the domain's target."
  }
  assert {
    condition     = output.domain_target["api.example.com"] == { name = "d-abc.execute-api.eu-central-1.amazonaws.com", zone_id = "Z1U9ULNL0V5AJ3" }
    error_message = "The target is told for whoever keeps the DNS."
  }
  assert {
    condition     = aws_api_gateway_rest_api.rest_api.disable_execute_api_endpoint && !output.default_endpoint
    error_message = "The default endpoint is off."
  }
  assert {
    condition     = aws_api_gateway_deployment.rest_api.triggers["default_endpoint"] == "off"
    error_message = "The API is deployed again, without which the stage would not go by that."
  }
}

run "a_path_on_another_stacks_domain" {
  variables {
    custom_domain = { name = "api.example.com" }
  }

  assert {
    condition     = output.api_url == "https://api.example.com"
    error_message = "The URL is the domain's, without a path."
  }
  assert {
    condition     = length(aws_api_gateway_domain_name.custom) + length(aws_route53_record.custom) == 0
    error_message = "Domain and record are another stack's."
  }
  assert {
    condition     = aws_api_gateway_base_path_mapping.custom[0].domain_name == "api.example.com" && output.domain_target == {}
    error_message = "Only the path is added."
  }
}

run "refuses_no_way_in" {
  command = plan
  variables {
    default_endpoint = false
  }
  expect_failures = [var.default_endpoint]
}

run "refuses_a_url_for_a_domain" {
  command = plan
  variables {
    custom_domain = { name = "https://api.example.com" }
  }
  expect_failures = [var.custom_domain]
}

run "refuses_another_regions_certificate" {
  command = plan
  variables {
    custom_domain = {
      name            = "api.example.com"
      certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/11111111-2222-3333-4444-555555555555"
    }
  }
  expect_failures = [var.custom_domain]
}

run "refuses_a_base_path_of_two_segments" {
  command = plan
  variables {
    custom_domain = { name = "api.example.com", base_path = "router/v1" }
  }
  expect_failures = [var.custom_domain]
}

run "refuses_a_record_for_another_stacks_domain" {
  command = plan
  variables {
    custom_domain = { name = "api.example.com", zone_id = "Z0123456789ABCDEFGHIJ" }
  }
  expect_failures = [var.custom_domain]
}

run "not_warmed" {
  variables {
    reserved_concurrency = -1
    warm_schedule        = ""
  }

  assert {
    condition     = length(aws_cloudwatch_event_rule.warm) + length(aws_cloudwatch_event_target.warm) + length(aws_lambda_permission.warm) == 0
    error_message = "Nothing warms."
  }
  assert {
    condition     = aws_lambda_function.api_handler.reserved_concurrent_executions == -1
    error_message = "No concurrency is reserved."
  }
  assert {
    condition     = aws_lambda_function.api_handler.environment[0].variables.ROUTER_WAITS_CAP == "8"
    error_message = "Long polls leave a fifth of a new account's 10 executions."
  }
}

run "refuses" {
  command = plan
  variables {
    # the function would outlive API Gateway
    timeout = 30
    # the URL itself, not the name of the parameter that holds it
    redis_url_parameter = "rediss://user:password@redis.example.com:6379/0"
    # two pools, and a third region
    cognito_user_pool_arn = "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_Another99"
    aws_region            = "us-east-1"
    # keys fetched without TLS
    cognito_jwks = "http://keys.example.com/jwks.json"
    # without a scope API Gateway takes ID tokens
    router_scope = ""

    # what the function would refuse
    router_log_level            = "TRACE"
    router_caller_waits_cap     = 1001
    router_open_jobs_cap        = 0
    router_queue                = "Tiny Llama"
    router_queue_cap            = 0
    router_rate_burst           = 0
    router_rate_per_minute      = 0
    router_idempotency_seconds  = 59
    router_kms_key_id           = "alias/jobs"
    router_store_result_seconds = 604801
    router_token_leeway_seconds = 61

    router_job_attempts          = 21
    router_job_types             = "{\"chat\": {\"timeout\": 9}}"
    router_retry_longest_seconds = 3601
    router_ttl_seconds           = 9
    router_max_batch_bytes       = 1024.5
    router_max_chat_bytes        = 0
    router_max_prompt_bytes      = 0
    router_max_tokens            = 255
    router_image_hosts           = "https://images.example.com"
    router_events_seconds        = 59
    router_stream_seconds        = 29
    router_models                = "phi=Phi"

    # what AWS would refuse, if later
    alarm_actions               = ["me@example.com"]
    alarm_thresholds            = { throttles = 0 }
    api_stage_name              = "api/v1"
    app_name                    = "Router"
    cognito_aud                 = ""
    cognito_aud_parameter       = "pages-client"
    cognito_login_client_id     = "lambda-router login"
    redis_ca_parameter          = "redis-authority"
    kms_key_arn                 = "alias/logs"
    log_retention_days          = 100
    memory_size                 = 128
    permissions_boundary_arn    = "boundary"
    redis_kms_key_arn           = "alias/aws/ssm"
    reserved_concurrency        = 0
    stage_name                  = "Prod"
    stream_reserved_concurrency = 0
    tags                        = { "aws:owner" = "me" }
    throttling_burst_limit      = 0
    throttling_rate_limit       = 0
    vpc_config                  = { subnet_ids = [], security_group_ids = [] }
    warm_schedule               = "every five minutes"
  }
  expect_failures = [
    var.timeout, var.redis_url_parameter, var.cognito_user_pool_arn, var.cognito_region, var.cognito_jwks,
    var.router_scope,
    var.router_log_level, var.router_caller_waits_cap, var.router_open_jobs_cap, var.router_queue, var.router_queue_cap, var.router_rate_burst,
    var.router_rate_per_minute, var.router_kms_key_id, var.router_idempotency_seconds, var.router_store_result_seconds,
    var.router_token_leeway_seconds,
    var.router_job_attempts, var.router_job_types, var.router_retry_longest_seconds, var.router_ttl_seconds,
    var.router_max_batch_bytes, var.router_max_chat_bytes, var.router_max_prompt_bytes, var.router_max_tokens,
    var.router_image_hosts, var.router_models, var.router_events_seconds, var.router_stream_seconds,
    var.alarm_actions, var.alarm_thresholds, var.api_stage_name, var.app_name, var.cognito_aud,
    var.cognito_aud_parameter, var.cognito_login_client_id, var.redis_ca_parameter,
    var.kms_key_arn, var.log_retention_days, var.memory_size, var.permissions_boundary_arn,
    var.redis_kms_key_arn, var.reserved_concurrency, var.stage_name, var.stream_reserved_concurrency, var.tags, var.throttling_burst_limit,
    var.throttling_rate_limit, var.vpc_config, var.warm_schedule,
  ]
}

run "long_polls_have_what_they_are_given" {
  variables {
    reserved_concurrency = 10
    waits_cap            = 9
  }

  assert {
    condition     = aws_lambda_function.api_handler.environment[0].variables.ROUTER_WAITS_CAP == "9"
    error_message = "waits_cap wins over four fifths of reserved_concurrency."
  }
}

# Apart, because waits_cap is not checked while reserved_concurrency is wrong.
run "refuses_half_a_long_poll" {
  command = plan
  variables {
    waits_cap = 0.5
  }
  expect_failures = [var.waits_cap]
}

run "refuses_long_polls_that_leave_nothing" {
  command = plan
  variables {
    reserved_concurrency = 10
    waits_cap            = 10
  }
  expect_failures = [var.waits_cap]
}

# Apart, because cognito_region is not checked while cognito_issuer is wrong.
run "refuses_an_issuer_without_tls" {
  command = plan
  variables {
    cognito_issuer = "http://issuer.example.com"
  }
  expect_failures = [var.cognito_issuer]
}

# Apart, because nothing that is compared with one of these is checked while it is wrong itself.
run "refuses_bounds_that_others_are_compared_with" {
  command = plan
  variables {
    router_job_timeout_seconds = 0.5
    router_max_body_bytes      = 1023
    router_retry_first_seconds = 3601
  }
  expect_failures = [var.router_job_timeout_seconds, var.router_max_body_bytes, var.router_retry_first_seconds]
}

run "refuses_jobs_that_would_not_fit" {
  command = plan
  variables {
    router_job_attempts          = 20
    router_job_timeout_seconds   = 721
    router_job_types             = "generate: 900"
    router_max_batch_bytes       = 1048575
    router_max_chat_bytes        = 1048577
    router_max_prompt_bytes      = 1048577
    router_retry_longest_seconds = 1
  }
  expect_failures = [
    var.router_job_attempts, var.router_job_types, var.router_max_batch_bytes, var.router_max_chat_bytes,
    var.router_max_prompt_bytes, var.router_retry_longest_seconds,
  ]
}

run "takes_jobs_that_just_fit" {
  command = plan
  variables {
    router_job_attempts          = 20
    router_job_timeout_seconds   = 720
    router_job_types             = "{\"generate\": {\"timeout_seconds\": 600, \"attempts\": 2}, \"chat\": {}}"
    router_max_batch_bytes       = 1048576
    router_max_chat_bytes        = 1048576
    router_max_prompt_bytes      = 1048576
    router_models                = "tinyllama, org/phi-3:mini=phi"
    router_retry_longest_seconds = 2
  }

  assert {
    condition     = aws_lambda_function.api_handler.environment[0].variables["ROUTER_JOB_TIMEOUT_SECONDS"] == "720"
    error_message = "The function is told another timeout than Terraform."
  }
}

run "keeps_the_aliases_where_they_are" {
  command = plan
  variables {
    move_alias = false
  }

  override_data {
    target = data.aws_lambda_alias.live[0]
    values = { function_version = "6" }
  }

  override_data {
    target = data.aws_lambda_alias.stream[0]
    values = { function_version = "5" }
  }

  assert {
    condition     = aws_lambda_alias.live.function_version == "6" && aws_lambda_function.api_handler.publish
    error_message = "A version is published that nobody is sent to."
  }
  assert {
    condition     = aws_lambda_alias.stream[0].function_version == "5" && aws_lambda_function.stream[0].publish
    error_message = "So it is of the streaming function."
  }
}
