# A package without the pages, as the other files here have it; tests/deploy/package/test_pages_of_a_stack.py has the one with them.

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

run "without_the_pages" {
  assert {
    condition     = aws_api_gateway_rest_api.rest_api.minimum_compression_size == "-1" && length(aws_api_gateway_method_settings.pages_files) == 0
    error_message = "Nothing is compressed, and no method has limits of its own."
  }
}

run "refuses_a_package_without_the_pages_that_are_wanted" {
  command = plan

  variables {
    router_docs = "true"
  }
  expect_failures = [aws_api_gateway_stage.live]
}

run "refuses_a_switch_that_is_neither" {
  command = plan

  variables {
    router_docs = "yes"
  }
  expect_failures = [var.router_docs]
}

run "refuses_a_domain_with_a_path" {
  command = plan

  variables {
    cognito_domain = "https://team.example.com/login"
  }
  expect_failures = [var.cognito_domain]
}
