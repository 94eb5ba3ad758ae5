# In other partitions than aws: nothing spells "arn:aws:", and GitHub's tokens are for that partition's STS.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  aws_region            = "eusc-de-east-1"
  cognito_aud           = "1h57kf5cpq17m0eml12EXAMPLE"
  cognito_user_pool_arn = "arn:aws-eusc:cognito-idp:eusc-de-east-1:123456789012:userpool/eusc-de-east-1_AbCdEf123"
  cognito_user_pool_id  = "eusc-de-east-1_AbCdEf123"
  redis_url_parameter   = "/lambda-router/prod/redis-url"
  stage_name            = "prod"
}

run "roles_in_the_european_sovereign_cloud" {
  module {
    source = "./modules/iam"
  }
  override_data {
    target = data.aws_partition.current
    values = { partition = "aws-eusc", dns_suffix = "amazonaws.eu" }
  }
  override_data {
    target = data.aws_region.current
    values = { name = "eusc-de-east-1" }
  }
  variables {
    name = "lambda-router-prod"
    github = {
      owner          = "octo"
      repository     = "router"
      environment    = "prod"
      vpc            = true
      state_bucket   = "octo-state"
      state_key      = "lambda-router/prod.tfstate"
      outputs_prefix = "/lambda-router/prod/outputs"
      own_tags       = { Application = "lambda-router", Stage = "prod" }
    }
  }

  assert {
    condition = alltrue(flatten([
      for policy in concat(values(aws_iam_policy.github), aws_iam_policy.boundary) : [
        for statement in jsondecode(policy.policy).Statement : [
          for arn in flatten([statement.Resource]) : arn == "*" || startswith(arn, "arn:aws-eusc:")
        ]
      ]
    ]))
    error_message = "Every resource is in the partition."
  }
  assert {
    condition = alltrue([
      for role in aws_iam_role.github : jsondecode(role.assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.eu"
    ])
    error_message = "Each role wants that audience."
  }
}

run "the_european_sovereign_cloud_is_taken" {
  command = plan
}

run "govcloud_is_taken" {
  command = plan
  variables {
    aws_region            = "us-gov-west-1"
    cognito_user_pool_arn = "arn:aws-us-gov:cognito-idp:us-gov-west-1:123456789012:userpool/us-gov-west-1_AbCdEf123"
    cognito_user_pool_id  = "us-gov-west-1_AbCdEf123"
  }
}

run "china_is_refused" {
  command = plan
  variables {
    aws_region            = "cn-north-1"
    cognito_user_pool_arn = "arn:aws-cn:cognito-idp:cn-north-1:123456789012:userpool/cn-north-1_AbCdEf123"
    cognito_user_pool_id  = "cn-north-1_AbCdEf123"
  }
  expect_failures = [var.aws_region, var.cognito_user_pool_id]
}

run "a_replicas_issuer_is_taken" {
  command = plan
  variables {
    cognito_issuer = "https://cognito-idp.eu-west-1.amazonaws.com/eusc-de-east-1_AbCdEf123, https://login.example.com"
  }
}

run "another_pools_issuer_is_refused" {
  command = plan
  variables {
    cognito_issuer = "https://issuer-cognito-idp.eusc-de-east-1.amazonaws.eu/eusc-de-east-1_Other"
  }
  expect_failures = [var.cognito_issuer]
}
