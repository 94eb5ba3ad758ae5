provider "aws" {
  region = var.aws_region

  default_tags {
    tags = merge(var.tags, {
      Application = var.app_name
      Stage       = var.stage_name
      ManagedBy   = "terraform"
    })
  }
}
