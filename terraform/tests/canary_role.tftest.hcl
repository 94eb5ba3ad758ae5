# modules/iam by itself: the role that goes back by itself can do nothing else.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "canary" {
  module {
    source = "./modules/iam"
  }
  variables {
    name = "lambda-router-prod"
    github = {
      owner          = "octo"
      owner_id       = 111
      repository     = "router"
      repository_id  = 222
      environment    = "prod"
      state_bucket   = "octo-state"
      state_key      = "lambda-router/prod.tfstate"
      outputs_prefix = "/lambda-router/prod/outputs"
      own_tags       = { Application = "lambda-router", Stage = "prod" }
    }
  }

  assert {
    condition = jsondecode(aws_iam_role.github["canary"].assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"] == [
      "repo:octo/router:environment:prod-canary", "repo:octo@111/router@222:environment:prod-canary",
    ]
    error_message = "Only its own environment takes it on."
  }
  assert {
    condition     = [for key in keys(aws_iam_role_policy_attachment.github) : key if startswith(key, "canary-")] == ["canary-canary"]
    error_message = "It has one policy."
  }
  assert {
    condition = { for statement in jsondecode(aws_iam_policy.github["canary"].policy).Statement : statement.Sid => statement.Resource } == {
      ListState = ["arn:aws:s3:::octo-state"]
      ReadState = ["arn:aws:s3:::octo-state/lambda-router/prod.tfstate"]
      MoveAlias = [
        "arn:aws:lambda:eu-central-1:123456789012:function:lambda-router-prod", "arn:aws:lambda:eu-central-1:123456789012:function:lambda-router-prod:*",
        "arn:aws:lambda:eu-central-1:123456789012:function:lambda-router-prod-stream", "arn:aws:lambda:eu-central-1:123456789012:function:lambda-router-prod-stream:*",
      ]
      TellVersion = [
        "arn:aws:ssm:eu-central-1:123456789012:parameter/lambda-router/prod/outputs/function_version",
        "arn:aws:ssm:eu-central-1:123456789012:parameter/lambda-router/prod/outputs/stream_function_version",
      ]
    }
    error_message = "It reads this state, moves the stack's two aliases and tells their versions."
  }
}
