# Bucket, key and region come with `terraform init -backend-config=…`: docs/deploy.md.
terraform {
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}
