# The role of the stack's functions. Policies are jsonencode'd, so that tests can read them.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.id
  account   = data.aws_caller_identity.current.account_id

  # What a function in a VPC needs for its network interfaces; EC2 knows no narrower resource before they exist.
  vpc_actions = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
  ]
  xray_actions = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]

  # Names here follow the resources of the root module.
  function_names = [var.name, "${var.name}-stream"]
  function_arns  = [for name in local.function_names : "arn:${local.partition}:lambda:${local.region}:${local.account}:function:${name}"]
}

resource "aws_iam_role" "runtime" {
  count = var.runtime == null ? 0 : 1

  name                 = "${var.name}-runtime"
  description          = "What the function ${var.name} may do."
  permissions_boundary = var.permissions_boundary_arn

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Lambda"
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "runtime" {
  count = length(aws_iam_role.runtime)

  name = "runtime"
  role = aws_iam_role.runtime[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          # Not CreateLogGroup: a late line after `destroy` would make a group that nobody owns.
          Sid      = "WriteOwnLog"
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = [for arn in var.runtime.log_group_arns : "${arn}:*"]
        },
        {
          Sid    = "ReadOwnParameters"
          Effect = "Allow"
          # The Redis URL and the authority of its server come with one call, which is another action.
          Action   = concat(["ssm:GetParameter"], length(var.runtime.parameter_arns) > 1 ? ["ssm:GetParameters"] : [])
          Resource = var.runtime.parameter_arns
        },
      ],
      [for arns in [var.runtime.kms_key_arns] : {
        Sid      = "DecryptOwnParameters"
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = arns
      } if length(arns) > 0],
      [for arns in [var.runtime.data_key_arns] : {
        Sid      = "EncryptJobs"
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = arns
      } if length(arns) > 0],
      [for wanted in [var.runtime.xray] : {
        # X-Ray knows no resources.
        Sid      = "Trace"
        Effect   = "Allow"
        Action   = local.xray_actions
        Resource = ["*"]
      } if wanted],
      [for wanted in [var.runtime.vpc] : {
        Sid      = "NetworkInterfaces"
        Effect   = "Allow"
        Action   = local.vpc_actions
        Resource = ["*"]
      } if wanted],
      # The interfaces are Lambda's business: code of the function itself may not touch them.
      [for wanted in [var.runtime.vpc] : {
        Sid       = "NetworkInterfacesNotByCode"
        Effect    = "Deny"
        Action    = local.vpc_actions
        Resource  = ["*"]
        Condition = { ArnEquals = { "lambda:SourceFunctionArn" = local.function_arns } }
      } if wanted],
    )
  })
}
