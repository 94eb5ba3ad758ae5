terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }

  backend "s3" {
    encrypt      = true
    use_lockfile = true

    # Terraform 1.11 does not know eusc-de-east-1; a wrong region is refused by the bucket, and named by `make doctor`.
    skip_region_validation = true
  }
}

provider "aws" {
  region = var.aws_region

  default_tags {
    tags = {
      Application = var.app_name
      Stage       = var.stage_name
      ManagedBy   = "terraform"
    }
  }
}
