# A snapshot of the data volume every day. The append-only file is complete up to the second before.

resource "aws_iam_role" "snapshots" {
  name        = "${local.name}-snapshots"
  description = "Data Lifecycle Manager, for snapshots of the queue of ${local.stack}."
  tags        = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "dlm.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy_attachment" "snapshots" {
  role       = aws_iam_role.snapshots.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AWSDataLifecycleManagerServiceRole"
}

resource "aws_dlm_lifecycle_policy" "daily" {
  description        = "Daily snapshots of ${local.name}"
  execution_role_arn = aws_iam_role.snapshots.arn
  state              = "ENABLED"
  tags               = local.tags

  policy_details {
    resource_types = ["VOLUME"]
    target_tags    = { Backup = local.name }

    schedule {
      name        = "daily"
      copy_tags   = true
      tags_to_add = { SnapshotCreator = "DLM" }

      create_rule {
        interval      = 24
        interval_unit = "HOURS"
        times         = ["02:00"]
      }

      retain_rule {
        interval      = var.snapshot_days
        interval_unit = "DAYS"
      }
    }
  }

  depends_on = [aws_iam_role_policy_attachment.snapshots]
}
