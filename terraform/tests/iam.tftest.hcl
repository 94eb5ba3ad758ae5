# modules/iam by itself: what each role may do, statement by statement.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name = "lambda-router-prod"
}

run "runtime" {
  module {
    source = "./modules/iam"
  }
  variables {
    runtime = {
      log_group_arns = ["arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/lambda-router-prod"]
      parameter_arns = ["arn:aws:ssm:eu-central-1:123456789012:parameter/lambda-router/prod/redis-url"]
    }
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.runtime[0].policy).Statement : statement.Sid] == ["WriteOwnLog", "ReadOwnParameters"]
    error_message = "The function may do these two things."
  }
  assert {
    condition = jsondecode(aws_iam_role_policy.runtime[0].policy).Statement[0] == {
      Sid      = "WriteOwnLog"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = ["arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/lambda-router-prod:*"]
    }
    error_message = "It writes to its own log, and may not create the group."
  }
  assert {
    condition = jsondecode(aws_iam_role_policy.runtime[0].policy).Statement[1] == {
      Sid      = "ReadOwnParameters"
      Effect   = "Allow"
      Action   = ["ssm:GetParameter"]
      Resource = ["arn:aws:ssm:eu-central-1:123456789012:parameter/lambda-router/prod/redis-url"]
    }
    error_message = "It reads that one parameter."
  }
  assert {
    condition     = jsondecode(aws_iam_role.runtime[0].assume_role_policy).Statement[0].Principal == { Service = "lambda.amazonaws.com" }
    error_message = "Lambda alone takes the role on."
  }
  assert {
    condition     = length(aws_iam_role.github) + length(aws_iam_policy.github) == 0
    error_message = "Nothing else is made unless asked for."
  }
  assert {
    condition     = output.plan_role_arn == null && output.deploy_role_arn == null && output.oidc_provider_arn == null
    error_message = "What is not made has no ARN."
  }
}

run "runtime_with_key_traces_and_vpc" {
  module {
    source = "./modules/iam"
  }
  variables {
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/lambda-router-prod-boundary"
    runtime = {
      log_group_arns = ["arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/lambda-router-prod"]
      parameter_arns = [
        "arn:aws:ssm:eu-central-1:123456789012:parameter/lambda-router/prod/redis-url",
        "arn:aws:ssm:eu-central-1:123456789012:parameter/lambda-router/prod/redis-authority",
      ]
      kms_key_arns  = ["arn:aws:kms:eu-central-1:123456789012:key/1"]
      data_key_arns = ["arn:aws:kms:eu-central-1:123456789012:key/2"]
      vpc           = true
      xray          = true
    }
  }

  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.runtime[0].policy).Statement : statement.Sid => statement }["DecryptOwnParameters"] == {
      Sid      = "DecryptOwnParameters"
      Effect   = "Allow"
      Action   = ["kms:Decrypt"]
      Resource = ["arn:aws:kms:eu-central-1:123456789012:key/1"]
    }
    error_message = "It decrypts with that one key."
  }
  assert {
    condition     = { for statement in jsondecode(aws_iam_role_policy.runtime[0].policy).Statement : statement.Sid => statement.Action }["ReadOwnParameters"] == ["ssm:GetParameter", "ssm:GetParameters"]
    error_message = "It reads several parameters with one call."
  }
  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.runtime[0].policy).Statement : statement.Sid => statement }["EncryptJobs"] == {
      Sid      = "EncryptJobs"
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = ["arn:aws:kms:eu-central-1:123456789012:key/2"]
    }
    error_message = "It makes and opens data keys with that one key."
  }
  assert {
    condition     = { for statement in jsondecode(aws_iam_role_policy.runtime[0].policy).Statement : statement.Sid => statement.Effect }["NetworkInterfacesNotByCode"] == "Deny"
    error_message = "Lambda handles the network interfaces, the function's own code may not."
  }
  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.runtime[0].policy).Statement : statement.Sid => try(statement.Condition, {}) }["NetworkInterfacesNotByCode"] == {
      ArnEquals = { "lambda:SourceFunctionArn" = [
        "arn:aws:lambda:eu-central-1:123456789012:function:lambda-router-prod",
        "arn:aws:lambda:eu-central-1:123456789012:function:lambda-router-prod-stream",
      ] }
    }
    error_message = "That is so for both functions."
  }
  assert {
    condition     = { for statement in jsondecode(aws_iam_role_policy.runtime[0].policy).Statement : statement.Sid => statement.Action }["Trace"] == ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    error_message = "A function that is traced writes traces, and reads none."
  }
  assert {
    condition     = aws_iam_role.runtime[0].permissions_boundary == var.permissions_boundary_arn
    error_message = "The role is bounded."
  }
}

run "github" {
  module {
    source = "./modules/iam"
  }
  variables {
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
    condition     = jsondecode(aws_iam_role.github["deploy"].assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"] == ["repo:octo/router:environment:prod", "repo:octo@111/router@222:environment:prod"]
    error_message = "Only the environment deploys, by both of GitHub's subject formats."
  }
  assert {
    condition = toset(jsondecode(aws_iam_role.github["plan"].assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"]) == toset([
      "repo:octo/router:pull_request", "repo:octo/router:ref:refs/heads/main",
      "repo:octo@111/router@222:pull_request", "repo:octo@111/router@222:ref:refs/heads/main",
    ])
    error_message = "Pull requests and the branch plan, by both of GitHub's subject formats."
  }
  assert {
    condition = alltrue([
      for role in aws_iam_role.github : jsondecode(role.assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com" &&
      keys(jsondecode(role.assume_role_policy).Statement[0].Condition) == ["StringEquals"]
    ])
    error_message = "Audience and subject are compared exactly."
  }
  assert {
    condition = alltrue(flatten([
      for policy in concat(values(aws_iam_policy.github), aws_iam_policy.boundary) : [
        for statement in jsondecode(policy.policy).Statement : [for action in statement.Action : !strcontains(action, "*")]
      ]
    ]))
    error_message = "No action has a wildcard."
  }
  assert {
    condition = toset(flatten([
      for policy in values(aws_iam_policy.github) : [
        for statement in jsondecode(policy.policy).Statement : statement.Action
        if statement.Effect == "Allow" && contains(statement.Resource, "*")
      ]
    ])) == toset(["cloudwatch:DescribeAlarms", "lambda:GetAccountSettings", "logs:DescribeLogGroups", "ssm:DescribeParameters"])
    error_message = "Only lists, which AWS does not narrow, are for every resource."
  }
  assert {
    condition = alltrue(flatten([
      for statement in concat(jsondecode(aws_iam_policy.github["read"].policy).Statement, jsondecode(aws_iam_policy.github["plan-state"].policy).Statement) : [
        for action in statement.Action : can(regex(":(Get|List|Describe|GET)", action)) || alltrue([for arn in statement.Resource : endswith(arn, ".tflock")])
      ]
    ]))
    error_message = "The plan role writes nothing but the lock."
  }
  assert {
    condition     = toset([for name, attachment in aws_iam_role_policy_attachment.github : name if startswith(name, "plan-")]) == toset(["plan-read", "plan-plan-state"])
    error_message = "The plan role has these two policies."
  }
  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_policy.github["deploy"].policy).Statement :
      statement.Condition.StringEquals["iam:PermissionsBoundary"] == "arn:aws:iam::123456789012:policy/lambda-router-prod-boundary"
      if length(setintersection(statement.Action, ["iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"])) > 0
    ])
    error_message = "The deploy role makes and changes roles within the boundary only."
  }
  assert {
    condition = [
      for statement in jsondecode(aws_iam_policy.github["deploy"].policy).Statement :
      [statement.Resource, statement.Condition.StringEquals["iam:PassedToService"]] if contains(statement.Action, "iam:PassRole")
    ] == [[["arn:aws:iam::123456789012:role/lambda-router-prod-runtime"], "lambda.amazonaws.com"]]
    error_message = "The deploy role hands this one role to Lambda only."
  }
  assert {
    condition = alltrue([
      for action in ["iam:DeleteRolePermissionsBoundary", "iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion"] :
      contains(flatten([for statement in jsondecode(aws_iam_policy.github["deploy"].policy).Statement : statement.Action if statement.Effect == "Deny"]), action)
    ])
    error_message = "The deploy role cannot loosen the boundary."
  }
  assert {
    condition = !contains(flatten([
      for policy in values(aws_iam_policy.github) : [for statement in jsondecode(policy.policy).Statement : statement.Action]
    ]), "iam:AttachRolePolicy")
    error_message = "The deploy role attaches no policies."
  }
  assert {
    condition = alltrue(flatten([
      for policy in values(aws_iam_policy.github) : [
        for statement in jsondecode(policy.policy).Statement : [
          for arn in statement.Resource : endswith(arn, ":parameter/lambda-router/prod/outputs/*")
        ] if contains(statement.Action, "ssm:GetParameter")
      ]
    ]))
    error_message = "Neither role can read the Redis URL."
  }
  assert {
    condition     = alltrue([for policy in concat(values(aws_iam_policy.github), aws_iam_policy.boundary) : length(policy.policy) <= 6144])
    error_message = "IAM takes policies of up to 6,144 characters."
  }
  assert {
    condition     = !contains(flatten([for statement in jsondecode(aws_iam_policy.boundary[0].policy).Statement : statement.Action]), "logs:CreateLogGroup")
    error_message = "The boundary is no wider than the function needs."
  }
  assert {
    condition = alltrue([
      for role in aws_iam_role.github : jsondecode(role.assume_role_policy).Statement[0].Action == "sts:AssumeRoleWithWebIdentity" &&
      keys(jsondecode(role.assume_role_policy).Statement[0].Principal) == ["Federated"] &&
      length(jsondecode(role.assume_role_policy).Statement) == 1
    ])
    error_message = "Nobody but GitHub takes these roles on."
  }
  assert {
    condition = !anytrue([
      for subject in jsondecode(aws_iam_role.github["deploy"].assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"] :
      !endswith(subject, ":environment:prod")
    ])
    error_message = "No branch and no pull request deploys."
  }
  assert {
    condition = !contains(flatten([
      for policy in values(aws_iam_policy.github) : [for statement in jsondecode(policy.policy).Statement : statement.Action]
    ]), "lambda:InvokeFunction")
    error_message = "Neither role calls the function: the API is called with a token."
  }
  assert {
    condition = toset(flatten([
      for statement in jsondecode(aws_iam_policy.github["read"].policy).Statement : statement.Resource if statement.Sid == "OwnPolicies"
    ])) == toset(["arn:aws:iam::123456789012:policy/lambda-router-prod-*", "arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"])
    error_message = "The roles read the policies of this stack's roles and of API Gateway's logs, and no others."
  }
  assert {
    condition     = !contains([for statement in jsondecode(aws_iam_policy.github["read"].policy).Statement : statement.Sid], "Pool")
    error_message = "Without its ARN, no pool may be looked at."
  }
  assert {
    condition     = output.oidc_provider_arn == data.aws_iam_openid_connect_provider.made_by_step_2_of_deploy_md[0].arn
    error_message = "The account's own provider is looked up."
  }
}

run "github_by_names_with_the_accounts_own_provider" {
  module {
    source = "./modules/iam"
  }
  variables {
    github = {
      owner             = "octo"
      repository        = "router"
      environment       = "prod"
      state_bucket      = "octo-state"
      state_key         = "lambda-router/prod.tfstate"
      outputs_prefix    = "/lambda-router/prod/outputs"
      own_tags          = { Application = "lambda-router", Stage = "prod" }
      oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
      user_pool_arn     = "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_AbCdEf123"
    }
  }

  assert {
    condition = { for statement in jsondecode(aws_iam_policy.github["read"].policy).Statement : statement.Sid => statement }["Pool"] == {
      Sid      = "Pool"
      Effect   = "Allow"
      Action   = ["cognito-idp:DescribeResourceServer", "cognito-idp:DescribeUserPool", "cognito-idp:DescribeUserPoolClient", "cognito-idp:ListUserPoolClients"]
      Resource = ["arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_AbCdEf123"]
    }
    error_message = "That one pool may be looked at."
  }
  assert {
    condition     = length(data.aws_iam_openid_connect_provider.made_by_step_2_of_deploy_md) == 0 && output.oidc_provider_arn == var.github.oidc_provider_arn
    error_message = "An account has one provider for GitHub; the one there is is taken."
  }
  assert {
    condition     = jsondecode(aws_iam_role.github["deploy"].assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"] == ["repo:octo/router:environment:prod"]
    error_message = "Without ids there is one subject."
  }
}

run "refuses_wildcards" {
  command = plan
  module {
    source = "./modules/iam"
  }
  variables {
    runtime = { log_group_arns = ["arn:aws:logs:::x"], parameter_arns = ["arn:aws:ssm:eu-central-1:123456789012:parameter/*"] }
    github = {
      owner          = "*"
      repository     = "router"
      environment    = "prod"
      state_bucket   = "octo-state"
      state_key      = "lambda-router/prod.tfstate"
      outputs_prefix = "/lambda-router/prod/outputs"
      own_tags       = { Application = "lambda-router", Stage = "prod" }
    }
  }
  expect_failures = [var.runtime, var.github]
}

run "refuses_half_the_ids" {
  command = plan
  module {
    source = "./modules/iam"
  }
  variables {
    github = {
      owner          = "octo"
      owner_id       = 111
      repository     = "router"
      environment    = "prod"
      state_bucket   = "octo-state"
      state_key      = "lambda-router/prod.tfstate"
      outputs_prefix = "/lambda-router/prod/outputs"
      own_tags       = { Application = "lambda-router", Stage = "prod" }
    }
  }
  expect_failures = [var.github]
}

run "refuses_a_pool_that_is_not_one" {
  command = plan
  module {
    source = "./modules/iam"
  }
  variables {
    github = {
      owner          = "octo"
      repository     = "router"
      environment    = "prod"
      state_bucket   = "octo-state"
      state_key      = "lambda-router/prod.tfstate"
      outputs_prefix = "/lambda-router/prod/outputs"
      own_tags       = { Application = "lambda-router", Stage = "prod" }
      user_pool_arn  = "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/*"
    }
  }
  expect_failures = [var.github]
}

# A feature that the boundary forbids would plan, apply and then fail in the function only.
run "boundary_holds_the_whole_runtime_role" {
  module {
    source = "./modules/iam"
  }
  variables {
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/lambda-router-prod-boundary"
    runtime = {
      log_group_arns = [
        "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/lambda-router-prod",
        "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/lambda-router-prod-stream",
      ]
      parameter_arns = [
        "arn:aws:ssm:eu-central-1:123456789012:parameter/lambda-router/prod/redis-url",
        "arn:aws:ssm:eu-central-1:123456789012:parameter/lambda-router/prod/redis-authority",
      ]
      kms_key_arns  = ["arn:aws:kms:eu-central-1:123456789012:key/1"]
      data_key_arns = ["arn:aws:kms:eu-central-1:123456789012:key/2"]
      xray          = true
      vpc           = true
    }
    github = {
      owner          = "octo"
      repository     = "router"
      environment    = "prod"
      state_bucket   = "octo-state"
      state_key      = "lambda-router/prod.tfstate"
      outputs_prefix = "/lambda-router/prod/outputs"
      own_tags       = { Application = "lambda-router", Stage = "prod" }
      kms_key_arns   = ["arn:aws:kms:eu-central-1:123456789012:key/1"]
      data_key_arns  = ["arn:aws:kms:eu-central-1:123456789012:key/2"]
      vpc            = true
    }
  }

  assert {
    condition = alltrue(flatten([
      for wanted in jsondecode(aws_iam_role_policy.runtime[0].policy).Statement : [
        for action in wanted.Action : [
          for resource in wanted.Resource : anytrue([
            for given in jsondecode(aws_iam_policy.boundary[0].policy).Statement :
            contains(given.Action, action) && anytrue([
              for pattern in given.Resource : pattern == resource || endswith(pattern, "*") && startswith(resource, trimsuffix(pattern, "*"))
            ])
          ])
        ]
      ] if wanted.Effect == "Allow"
    ]))
    error_message = "Everything that the runtime role may do is within the boundary."
  }
}

run "policies_fit_for_the_longest_names" {
  module {
    source = "./modules/iam"
  }
  variables {
    name = "abcdefghijklmnopqrstuvwxyz01234-abcdefghijklmnopqrs"
    github = {
      owner          = "octo"
      repository     = "router"
      environment    = "prod"
      state_bucket   = "a-bucket-with-a-name-as-long-as-amazon-s3-lets-any-bucket-have-1"
      state_key      = "abcdefghijklmnopqrstuvwxyz01234/abcdefghijklmnopqrs.tfstate"
      outputs_prefix = "/abcdefghijklmnopqrstuvwxyz01234/abcdefghijklmnopqrs/outputs"
      own_tags       = { Application = "abcdefghijklmnopqrstuvwxyz01234", Stage = "abcdefghijklmnopqrs" }
      kms_key_arns   = ["arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"]
      data_key_arns  = ["arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555556"]
      custom_domain  = { name = "a-host-name-that-is-as-long-as-one-label-of-the-dns-may-well-be.example.com", certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/11111111-2222-3333-4444-555555555555", zone_id = "Z0123456789ABCDEFGHIJ" }
      user_pool_arn  = "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_AbCdEf123"
      vpc            = true
    }
  }

  assert {
    condition     = alltrue([for policy in concat(values(aws_iam_policy.github), aws_iam_policy.boundary) : length(policy.policy) <= 6144])
    error_message = "IAM takes policies of up to 6,144 characters."
  }
}
