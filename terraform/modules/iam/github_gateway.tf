# What the deploy role may do to the API and to log groups. A policy of its own: IAM takes 6,144 characters of each.

locals {
  deploy_gateway_statements = flatten([for github in var.github[*] : concat(
    [
      # Ids of APIs are not known before them, so the stack's own are told from others by its tags, which what is below an
      # API inherits: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-tagging-supported-resources.html
      {
        Sid       = "ApiMade"
        Effect    = "Allow"
        Action    = ["apigateway:POST"]
        Resource  = [local.arns.apis]
        Condition = { StringEquals = local.request_tags }
      },
      {
        Sid       = "Api"
        Effect    = "Allow"
        Action    = ["apigateway:DELETE", "apigateway:PATCH", "apigateway:POST", "apigateway:PUT"]
        Resource  = ["${local.arns.apis}/*"]
        Condition = { StringEquals = local.resource_tags }
      },
      {
        # Tags of a neighbour's API stay: to tag it takes PATCH of it, too.
        Sid       = "ApiTags"
        Effect    = "Allow"
        Action    = ["apigateway:DELETE", "apigateway:PUT"]
        Resource  = [local.arns.api_tags]
        Condition = { StringEqualsIfExists = local.request_tags }
      },
      {
        Sid    = "Logs"
        Effect = "Allow"
        Action = [
          "logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:PutRetentionPolicy", "logs:TagResource",
          "logs:UntagResource",
        ]
        Resource = local.named_log_groups
      },
      {
        # API Gateway names its group for the API's id, so this one goes by tags, too.
        Sid      = "ExecutionLogsMade"
        Effect   = "Allow"
        Action   = ["logs:CreateLogGroup", "logs:TagResource"]
        Resource = local.execution_log_groups
        Condition = {
          StringEquals         = local.request_tags
          StringEqualsIfExists = local.resource_tags
        }
      },
      {
        Sid      = "ExecutionLogs"
        Effect   = "Allow"
        Action   = ["logs:DeleteLogGroup", "logs:PutRetentionPolicy", "logs:TagResource", "logs:UntagResource"]
        Resource = local.execution_log_groups
        Condition = {
          StringEquals         = local.resource_tags
          StringEqualsIfExists = local.request_tags
        }
      },
    ],
    [for arns in [github.kms_key_arns] : {
      Sid      = "Keys"
      Effect   = "Allow"
      Action   = ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"]
      Resource = arns
    } if length(arns) > 0],
    [for arns in [github.kms_key_arns] : {
      Sid      = "KeysOfLogs"
      Effect   = "Allow"
      Action   = ["logs:AssociateKmsKey", "logs:DisassociateKmsKey"]
      Resource = local.log_groups
      # Asked for at a group's creation, too, when it has no tags yet.
      Condition = { StringEqualsIfExists = local.resource_tags }
    } if length(arns) > 0],
  )])
}
