# Two directions: parameters that a function reads, of which only names pass through here, and parameters that tell
# others where this stack is.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  arn_prefix = join(":", [
    "arn", data.aws_partition.current.partition, "ssm", data.aws_region.current.id,
    data.aws_caller_identity.current.account_id, "parameter",
  ])
}

resource "aws_ssm_parameter" "write" {
  # checkov:skip=CKV2_AWS_34: none of these is secret (ids, ARNs and a public URL), and other stacks read them without a key.
  for_each = var.writes

  name        = "${var.prefix}/${each.key}"
  description = "Written by Terraform: ${each.key}."
  type        = "String"
  value       = each.value
}
