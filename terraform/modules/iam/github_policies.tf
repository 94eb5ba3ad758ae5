# What the two roles may do. Each action is one that the AWS provider is seen to use, or has its reason:
# docs/permissions.md.

locals {
  # Names here follow the resources of the root module.
  arns = var.github == null ? {} : {
    github_roles    = "arn:${local.partition}:iam::${local.account}:role/${var.name}-"
    github_policies = "arn:${local.partition}:iam::${local.account}:policy/${var.name}-*"
    runtime_role    = "arn:${local.partition}:iam::${local.account}:role/${var.name}-runtime"
    boundary        = "arn:${local.partition}:iam::${local.account}:policy/${var.name}-boundary"
    # The account's role for API Gateway's logs, as docs/deploy.md makes it.
    gateway_logs_role   = "arn:${local.partition}:iam::${local.account}:role/api-gateway-logs"
    gateway_logs_policy = "arn:${local.partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
    access_log_group    = "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:/aws/apigateway/${var.name}/access"
    execution_logs      = "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:API-Gateway-Execution-Logs_*/${var.github.api_stage_name}"
    rule                = "arn:${local.partition}:events:${local.region}:${local.account}:rule/${var.name}-warm"
    alarms              = "arn:${local.partition}:cloudwatch:${local.region}:${local.account}:alarm:${var.name}-*"
    dashboard           = "arn:${local.partition}:cloudwatch::${local.account}:dashboard/${var.name}"
    outputs             = "arn:${local.partition}:ssm:${local.region}:${local.account}:parameter${var.github.outputs_prefix}/*"
    own_parameters      = "arn:${local.partition}:ssm:${local.region}:${local.account}:parameter${dirname(var.github.outputs_prefix)}/*"
    # API Gateway's ARNs have ids in them, which do not exist before the API does.
    apis        = "arn:${local.partition}:apigateway:${local.region}::/restapis"
    api_account = "arn:${local.partition}:apigateway:${local.region}::/account"
    api_tags    = "arn:${local.partition}:apigateway:${local.region}::/tags/*"
    bucket      = "arn:${local.partition}:s3:::${var.github.state_bucket}"
    state       = "arn:${local.partition}:s3:::${var.github.state_bucket}/${var.github.state_key}"
  }

  # Each function, and its versions and aliases.
  qualified_functions = flatten([for arn in local.function_arns : [arn, "${arn}:*"]])
  function_log_groups = [for name in local.function_names : "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:/aws/lambda/${name}"]

  # The same group is asked for with and without its streams.
  named_log_groups = var.github == null ? [] : flatten([
    for arn in concat(local.function_log_groups, [local.arns.access_log_group]) : [arn, "${arn}:*"]
  ])
  execution_log_groups = var.github == null ? [] : [local.arns.execution_logs, "${local.arns.execution_logs}:*"]
  log_groups           = concat(local.named_log_groups, local.execution_log_groups)

  request_tags  = var.github == null ? {} : { for name, value in var.github.own_tags : "aws:RequestTag/${name}" => value }
  resource_tags = var.github == null ? {} : { for name, value in var.github.own_tags : "aws:ResourceTag/${name}" => value }

  github_policies = merge([for github in var.github[*] : {
    read = {
      description = "Everything that `terraform plan` reads about ${var.name}."
      roles       = ["plan", "deploy"]
      statements  = local.read_statements
    }
    plan-state = {
      description = "Read the state of ${var.name} and lock it."
      roles       = ["plan"]
      statements  = local.state_statements
    }
    deploy-state = {
      description = "Read, lock and write the state of ${var.name}."
      roles       = ["deploy"]
      statements = concat(local.state_statements, [{
        Sid      = "WriteState"
        Effect   = "Allow"
        Action   = ["s3:PutObject"]
        Resource = [local.arns.state]
      }])
    }
    deploy = {
      description = "Create, change and destroy ${var.name}."
      roles       = ["deploy"]
      statements  = local.deploy_statements
    }
    deploy-gateway = {
      description = "Create, change and destroy the API and the log groups of ${var.name}, and use its keys."
      roles       = ["deploy"]
      statements  = local.deploy_gateway_statements
    }
    canary = {
      description = "Point the alias of ${var.name} at a version that is published."
      roles       = ["canary"]
      statements  = local.canary_statements
    }
  }]...)

  state_statements = flatten([for github in var.github[*] : [
    {
      Sid      = "ListState"
      Effect   = "Allow"
      Action   = ["s3:GetBucketVersioning", "s3:ListBucket"]
      Resource = [local.arns.bucket]
    },
    {
      Sid      = "ReadState"
      Effect   = "Allow"
      Action   = ["s3:GetObject"]
      Resource = [local.arns.state]
    },
    {
      Sid      = "LockState"
      Effect   = "Allow"
      Action   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
      Resource = ["${local.arns.state}.tflock"]
    },
  ]])

  read_statements = flatten([for github in var.github[*] : concat([
    {
      Sid    = "Function"
      Effect = "Allow"
      Action = [
        "lambda:GetAlias", "lambda:GetFunction", "lambda:GetFunctionCodeSigningConfig", "lambda:GetFunctionConcurrency",
        "lambda:GetFunctionConfiguration", "lambda:GetFunctionEventInvokeConfig", "lambda:GetPolicy",
        "lambda:ListTags", "lambda:ListVersionsByFunction",
      ]
      Resource = local.qualified_functions
    },
    {
      Sid    = "Role"
      Effect = "Allow"
      Action = [
        "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies",
      ]
      Resource = [local.arns.runtime_role, "${local.arns.github_roles}plan", "${local.arns.github_roles}deploy", local.arns.gateway_logs_role]
    },
    {
      # `make plan` compares what a plan needs with what these roles have; `make doctor` looks whether API Gateway may log.
      Sid      = "OwnPolicies"
      Effect   = "Allow"
      Action   = ["iam:GetPolicy", "iam:GetPolicyVersion"]
      Resource = [local.arns.github_policies, local.arns.gateway_logs_policy]
    },
    {
      Sid      = "Api"
      Effect   = "Allow"
      Action   = ["apigateway:GET"]
      Resource = [local.arns.apis, "${local.arns.apis}/*", local.arns.api_account, local.arns.api_tags]
    },
    {
      Sid      = "Logs"
      Effect   = "Allow"
      Action   = ["logs:ListTagsForResource"]
      Resource = local.log_groups
    },
    {
      Sid      = "Rule"
      Effect   = "Allow"
      Action   = ["events:DescribeRule", "events:ListTagsForResource", "events:ListTargetsByRule"]
      Resource = [local.arns.rule]
    },
    {
      Sid      = "Alarms"
      Effect   = "Allow"
      Action   = ["cloudwatch:GetDashboard", "cloudwatch:ListTagsForResource"]
      Resource = [local.arns.alarms, local.arns.dashboard]
    },
    {
      # Not the parameters that the function reads: no secret passes through GitHub.
      Sid      = "Outputs"
      Effect   = "Allow"
      Action   = ["ssm:GetParameter", "ssm:GetParameters", "ssm:ListTagsForResource"]
      Resource = [local.arns.outputs]
    },
    {
      # Lists, which AWS does not narrow to one resource.
      Sid    = "Lists"
      Effect = "Allow"
      Action = concat(
        [
          "cloudwatch:DescribeAlarms", "lambda:GetAccountSettings", "logs:DescribeLogGroups", "ssm:DescribeParameters",
        ],
        github.vpc ? ["ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs"] : [],
      )
      Resource = ["*"]
    },
    ],
    [for arn in github.user_pool_arn[*] : {
      Sid    = "Pool"
      Effect = "Allow"
      Action = [
        "cognito-idp:DescribeResourceServer", "cognito-idp:DescribeUserPool", "cognito-idp:DescribeUserPoolClient",
        "cognito-idp:ListUserPoolClients",
      ]
      Resource = [arn]
    }],
    local.domain_read_statements,
  )])

  deploy_statements = flatten([for github in var.github[*] : concat(
    [
      {
        Sid    = "Function"
        Effect = "Allow"
        Action = [
          "lambda:AddPermission", "lambda:CreateAlias", "lambda:CreateFunction", "lambda:DeleteAlias",
          "lambda:DeleteFunction", "lambda:DeleteFunctionConcurrency", "lambda:DeleteFunctionEventInvokeConfig",
          "lambda:PublishVersion", "lambda:PutFunctionConcurrency", "lambda:PutFunctionEventInvokeConfig",
          "lambda:RemovePermission", "lambda:TagResource", "lambda:UntagResource", "lambda:UpdateAlias",
          "lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration",
        ]
        Resource = local.qualified_functions
      },
      {
        Sid    = "Role"
        Effect = "Allow"
        Action = [
          "iam:DeleteRole", "iam:DeleteRolePolicy", "iam:ListInstanceProfilesForRole", "iam:TagRole", "iam:UntagRole",
          "iam:UpdateAssumeRolePolicy", "iam:UpdateRole", "iam:UpdateRoleDescription",
        ]
        Resource = [local.arns.runtime_role]
      },
      {
        Sid       = "RoleOnlyWithinBoundary"
        Effect    = "Allow"
        Action    = ["iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"]
        Resource  = [local.arns.runtime_role]
        Condition = { StringEquals = { "iam:PermissionsBoundary" = local.arns.boundary } }
      },
      {
        Sid       = "RoleOnlyToLambda"
        Effect    = "Allow"
        Action    = ["iam:PassRole"]
        Resource  = [local.arns.runtime_role]
        Condition = { StringEquals = { "iam:PassedToService" = "lambda.amazonaws.com" } }
      },
      {
        Sid      = "KeepBoundary"
        Effect   = "Deny"
        Action   = ["iam:DeleteRolePermissionsBoundary"]
        Resource = ["*"]
      },
      {
        Sid      = "KeepBoundaryPolicy"
        Effect   = "Deny"
        Action   = ["iam:CreatePolicyVersion", "iam:DeletePolicy", "iam:DeletePolicyVersion", "iam:SetDefaultPolicyVersion"]
        Resource = [local.arns.boundary]
      },
      {
        Sid    = "Rule"
        Effect = "Allow"
        Action = [
          "events:DeleteRule", "events:PutRule", "events:PutTargets", "events:RemoveTargets", "events:TagResource",
          "events:UntagResource",
        ]
        Resource = [local.arns.rule]
      },
      {
        Sid    = "Alarms"
        Effect = "Allow"
        Action = [
          "cloudwatch:DeleteAlarms", "cloudwatch:DeleteDashboards", "cloudwatch:PutDashboard",
          "cloudwatch:PutMetricAlarm", "cloudwatch:TagResource", "cloudwatch:UntagResource",
        ]
        Resource = [local.arns.alarms, local.arns.dashboard]
      },
      {
        Sid    = "Outputs"
        Effect = "Allow"
        Action = [
          "ssm:AddTagsToResource", "ssm:DeleteParameter", "ssm:PutParameter", "ssm:RemoveTagsFromResource",
        ]
        Resource = [local.arns.outputs]
      },
    ],
    local.domain_deploy_statements,
  )])
}
