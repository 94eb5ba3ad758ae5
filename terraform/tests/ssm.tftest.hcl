# modules/ssm by itself.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  prefix = "/lambda-router/prod/outputs"
}

run "both_directions" {
  module {
    source = "./modules/ssm"
  }
  variables {
    reads  = { redis_url = "/lambda-router/prod/redis-url" }
    writes = { api_url = "https://api.example.com/api", api_id = "abc" }
  }

  assert {
    condition     = output.read_arns == { redis_url = "arn:aws:ssm:eu-central-1:123456789012:parameter/lambda-router/prod/redis-url" }
    error_message = "A name becomes an exact ARN, and is not looked up."
  }
  assert {
    condition     = output.write_names == { api_id = "/lambda-router/prod/outputs/api_id", api_url = "/lambda-router/prod/outputs/api_url" }
    error_message = "Written parameters begin with the prefix."
  }
  assert {
    condition     = alltrue([for parameter in aws_ssm_parameter.write : parameter.type == "String"])
    error_message = "What is written is no secret."
  }
  assert {
    condition     = aws_ssm_parameter.write["api_url"].value == "https://api.example.com/api"
    error_message = "The value is written as given."
  }
}

run "refuses_secrets" {
  command = plan
  module {
    source = "./modules/ssm"
  }
  variables {
    reads  = { redis_url = "rediss://user:password@redis.example.com" }
    writes = { redis_url = "rediss://user:password@redis.example.com" }
  }
  expect_failures = [var.reads, var.writes]
}

run "refuses_a_prefix_of_awss_own" {
  command = plan
  module {
    source = "./modules/ssm"
  }
  variables {
    prefix = "/aws/service"
  }
  expect_failures = [var.prefix]
}
