# Bucket, key and region come with `terraform init -backend-config=…`: docs/deploy.md.
terraform {
  backend "s3" {
    encrypt      = true
    use_lockfile = true

    # Terraform 1.11 does not know eusc-de-east-1; a wrong region is refused by the bucket, and named by `make doctor`.
    skip_region_validation = true
  }
}
