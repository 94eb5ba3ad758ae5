# What the instance may do: publish how to reach it, report figures, and be reached by Session Manager.

resource "aws_iam_role" "this" {
  name        = local.name
  description = "The instance with the queue of ${local.stack}."
  tags        = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  # checkov:skip=CKV_AWS_355: the actions with Resource * know no others; the one that writes figures is held to a namespace.
  # checkov:skip=CKV_AWS_290: sessions and figures know no resource that could be named.
  name = "own"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "PublishOwnParameters"
        Effect   = "Allow"
        Action   = ["ssm:PutParameter"]
        Resource = sort([for parameter in aws_ssm_parameter.published : parameter.arn])
      },
      {
        Sid       = "ReportOwnFigures"
        Effect    = "Allow"
        Action    = ["cloudwatch:PutMetricData"]
        Resource  = ["*"]
        Condition = { StringEquals = { "cloudwatch:namespace" = local.namespace } }
      },
      {
        # Sessions only. AmazonSSMManagedInstanceCore would let the instance read every parameter of the account.
        # https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSCloud9SSMInstanceProfile.html
        Sid    = "BeReachedBySessionManager"
        Effect = "Allow"
        Action = [
          "ssm:UpdateInstanceInformation", "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
          "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
        ]
        Resource = ["*"]
      },
    ]
  })
}

resource "aws_iam_instance_profile" "this" {
  name = local.name
  role = aws_iam_role.this.name
  tags = local.tags
}
