# One instance with Valkey: its own Elastic IP, a data volume that outlives it, and a first boot that makes all secrets.

data "aws_partition" "current" {}
data "aws_region" "current" {}

# Debian's newest image for ARM: https://wiki.debian.org/Cloud/AmazonEC2Image/Trixie
data "aws_ssm_parameter" "image" {
  name = "/aws/service/debian/release/13/latest/arm64"
}

locals {
  stack = "${var.app_name}-${var.stage_name}"
  name  = "${local.stack}-valkey"
  tags  = { Name = local.name }

  prefix = "/${var.app_name}/${var.stage_name}"

  namespace = "LambdaRouter/Valkey"

  settings = {
    ADDRESS    = aws_eip.this.public_ip
    DEVICE     = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${replace(aws_ebs_volume.data.id, "-", "")}"
    DNS_SUFFIX = data.aws_partition.current.dns_suffix
    NAMESPACE  = local.namespace
    PARAMETERS = local.prefix
    PORT       = var.port
    QUEUES     = join(" ", distinct(var.queues))
    REGION     = data.aws_region.current.id
    STACK      = local.stack
  }

  # All files of root/, as they are, and the settings.
  files = merge(
    { for name in fileset("${path.module}/root", "**") : "/${name}" => file("${path.module}/root/${name}") },
    { "/etc/valkey-home/settings" = join("", [for name, value in local.settings : "${name}=\"${value}\"\n"]) },
  )

  # JSON is YAML, in which nothing has to be indented.
  user_data = join("\n", ["#cloud-config", jsonencode({
    write_files = [for name, content in local.files : {
      path        = name
      content     = content
      permissions = can(regex("^#!", content)) ? "0755" : "0644"
    }]
    runcmd = [["/usr/local/lib/valkey-home/first-boot"]]
  })])
}

# The first boot writes what they hold. Terraform only makes and removes them: a write-only argument is neither in the
# state nor read back.
resource "aws_ssm_parameter" "published" {
  # checkov:skip=CKV2_AWS_34: authority and state of the instance are not secret, and are read without a key.
  # checkov:skip=CKV_AWS_337: AWS's own key, aws/ssm: the function's role then needs no permission for a key.
  for_each = {
    redis-authority  = { type = "String", holds = "the authority that signs the server's certificate" }
    redis-url        = { type = "SecureString", holds = "the function's Redis URL" }
    valkey-ready     = { type = "String", holds = "which instance is ready" }
    worker-redis-url = { type = "SecureString", holds = "the workers' Redis URL" }
  }

  name             = "${local.prefix}/${each.key}"
  description      = "Written by ${local.name}: ${each.value.holds}."
  type             = each.value.type
  value_wo         = "not yet written: make wait-valkey"
  value_wo_version = 1
  tags             = local.tags

  # With another description the provider sends a value too, and it knows none: the instance's would be lost.
  lifecycle {
    ignore_changes = [description]
  }
}

resource "aws_instance" "this" {
  # checkov:skip=CKV_AWS_126: one figure a minute costs more than it tells; the instance measures what matters itself.
  ami                         = data.aws_ssm_parameter.image.insecure_value
  instance_type               = var.instance_type
  subnet_id                   = local.subnet_id
  vpc_security_group_ids      = [aws_security_group.this.id]
  iam_instance_profile        = aws_iam_instance_profile.this.name
  ebs_optimized               = true
  user_data_base64            = base64gzip(local.user_data)
  user_data_replace_on_change = true
  tags                        = local.tags

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    volume_type = "gp3"
    volume_size = 8
    encrypted   = true
    kms_key_id  = var.kms_key_arn
    tags        = local.tags
  }

  # A flood of connections must not cost money. Only types of the T family earn credits.
  dynamic "credit_specification" {
    for_each = startswith(var.instance_type, "t") ? ["standard"] : []

    content {
      cpu_credits = credit_specification.value
    }
  }

  lifecycle {
    # A new image of Debian does not replace a running instance, which updates itself.
    ignore_changes = [ami]
  }

  depends_on = [aws_route_table_association.public, aws_iam_role_policy.this, aws_ssm_parameter.published]
}

resource "aws_ebs_volume" "data" {
  availability_zone = local.availability_zone
  type              = "gp3"
  size              = var.data_gb
  encrypted         = true
  kms_key_id        = var.kms_key_arn
  snapshot_id       = var.data_snapshot_id
  tags              = merge(local.tags, { Backup = local.name })
}

resource "aws_volume_attachment" "data" {
  device_name = "/dev/sdf"
  volume_id   = aws_ebs_volume.data.id
  instance_id = aws_instance.this.id

  # The server writes its file out before the volume goes to the next instance.
  stop_instance_before_detaching = true
}
