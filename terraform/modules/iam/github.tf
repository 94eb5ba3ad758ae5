# Roles that GitHub Actions takes on by OpenID Connect: one that plans, one that deploys, one that goes back.

locals {
  # For whom GitHub issues the token; the workflows ask for the same by the region (tools/docs/workflows.py).
  audience     = "sts.${data.aws_partition.current.dns_suffix}"
  issuer       = "token.actions.githubusercontent.com"
  provider_arn = var.github == null ? null : coalesce(var.github.oidc_provider_arn, one(data.aws_iam_openid_connect_provider.made_by_step_2_of_deploy_md[*].arn))

  # A token's subject begins with owner and repository: by name, and since July 2026, for new repositories, by name and id.
  repositories = var.github == null ? [] : concat(
    ["repo:${var.github.owner}/${var.github.repository}"],
    [for id in var.github.owner_id[*] : "repo:${var.github.owner}@${id}/${var.github.repository}@${var.github.repository_id}"],
  )

  plan_subjects = var.github == null ? [] : flatten([
    for repository in local.repositories : ["${repository}:pull_request", "${repository}:ref:refs/heads/${var.github.branch}"]
  ])
  # A job with `environment:` has this subject and no other, whatever its branch; the environment's rules say who may.
  deploy_subjects = var.github == null ? [] : [
    for repository in local.repositories : "${repository}:environment:${var.github.environment}"
  ]
  # Nobody is asked before a bad version is left, so this environment has no reviewers.
  canary_subjects = [for subject in local.deploy_subjects : "${subject}-canary"]

  github_roles = var.github == null ? {} : {
    plan   = { subjects = local.plan_subjects, description = "Reads everything, changes nothing but the state's lock." }
    deploy = { subjects = local.deploy_subjects, description = "Creates, changes and destroys ${var.name}." }
    canary = { subjects = local.canary_subjects, description = "Points the alias of ${var.name} at a version that is published." }
  }
}

# An account has one, which other stacks trust, too: it is looked up, never made or destroyed. Where there is none Terraform
# names this data source, so its name says who makes it.
data "aws_iam_openid_connect_provider" "made_by_step_2_of_deploy_md" {
  count = var.github == null ? 0 : var.github.oidc_provider_arn == null ? 1 : 0

  url = "https://${local.issuer}"
}

resource "aws_iam_role" "github" {
  for_each = local.github_roles

  name                 = "${var.name}-${each.key}"
  description          = each.value.description
  max_session_duration = 3600

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "GitHub"
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = local.provider_arn }
      Condition = {
        StringEquals = {
          "${local.issuer}:aud" = local.audience
          "${local.issuer}:sub" = each.value.subjects
        }
      }
    }]
  })
}

resource "aws_iam_policy" "github" {
  for_each = local.github_policies

  name        = "${var.name}-${each.key}"
  description = each.value.description
  policy      = jsonencode({ Version = "2012-10-17", Statement = each.value.statements })
}

resource "aws_iam_role_policy_attachment" "github" {
  for_each = merge([
    for policy, about in local.github_policies : { for role in about.roles : "${role}-${policy}" => { role = role, policy = policy } }
  ]...)

  role       = aws_iam_role.github[each.value.role].name
  policy_arn = aws_iam_policy.github[each.value.policy].arn
}

# No role that the deploy role makes can do more than this, whatever its own policy says.
resource "aws_iam_policy" "boundary" {
  count = var.github == null ? 0 : 1

  name        = "${var.name}-boundary"
  description = "The most that the functions of ${var.name} may ever do."

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "WriteOwnLog"
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = [for arn in local.function_log_groups : "${arn}:*"]
        },
        {
          Sid      = "ReadOwnParameters"
          Effect   = "Allow"
          Action   = ["ssm:GetParameter", "ssm:GetParameters"]
          Resource = [local.arns.own_parameters]
        },
        {
          Sid      = "Trace"
          Effect   = "Allow"
          Action   = local.xray_actions
          Resource = ["*"]
        },
      ],
      [for arns in [var.github.kms_key_arns] : {
        Sid      = "DecryptOwnParameters"
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = arns
      } if length(arns) > 0],
      [for arns in [var.github.data_key_arns] : {
        Sid      = "EncryptJobs"
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = arns
      } if length(arns) > 0],
      [for wanted in [var.github.vpc] : {
        Sid      = "NetworkInterfaces"
        Effect   = "Allow"
        Action   = local.vpc_actions
        Resource = ["*"]
      } if wanted],
    )
  })
}
