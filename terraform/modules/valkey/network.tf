# A VPC with one public subnet, or a subnet that is there; one open port.

# Not every zone has every type: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-discovery.html
data "aws_ec2_instance_type_offerings" "zones" {
  count = local.own_network

  location_type = "availability-zone"

  filter {
    name   = "instance-type"
    values = [var.instance_type]
  }
}

data "aws_subnet" "given" {
  count = var.subnet_id == null ? 0 : 1

  id = var.subnet_id
}

locals {
  own_network       = var.subnet_id == null ? 1 : 0
  subnet_id         = try(aws_subnet.public[0].id, data.aws_subnet.given[0].id)
  vpc_id            = try(aws_vpc.own[0].id, data.aws_subnet.given[0].vpc_id)
  availability_zone = try(aws_subnet.public[0].availability_zone, data.aws_subnet.given[0].availability_zone)
}

resource "aws_vpc" "own" {
  # checkov:skip=CKV2_AWS_11: flow logs of one open port would cost more than the instance, and show only addresses.
  count = local.own_network

  cidr_block           = "10.0.0.0/24"
  enable_dns_hostnames = true

  tags = local.tags
}

# Nothing uses the group that each VPC comes with, so it allows nothing.
resource "aws_default_security_group" "closed" {
  count = local.own_network

  vpc_id = aws_vpc.own[0].id
  tags   = local.tags
}

resource "aws_internet_gateway" "own" {
  count = local.own_network

  vpc_id = aws_vpc.own[0].id
  tags   = local.tags
}

resource "aws_subnet" "public" {
  count = local.own_network

  vpc_id            = aws_vpc.own[0].id
  cidr_block        = aws_vpc.own[0].cidr_block
  availability_zone = sort(data.aws_ec2_instance_type_offerings.zones[0].locations)[0]
  tags              = local.tags

  lifecycle {
    # A zone that gets the type later must not move the subnet, and with it the volume.
    ignore_changes = [availability_zone]
  }
}

resource "aws_route_table" "public" {
  count = local.own_network

  vpc_id = aws_vpc.own[0].id
  tags   = local.tags

  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.own[0].id
  }
}

resource "aws_route_table_association" "public" {
  count = local.own_network

  subnet_id      = aws_subnet.public[0].id
  route_table_id = aws_route_table.public[0].id
}

resource "aws_security_group" "this" {
  name        = local.name
  description = "The queue of ${local.stack}: TLS in, everything out."
  vpc_id      = local.vpc_id
  tags        = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "tls" {
  for_each = toset(var.allowed_cidrs)

  security_group_id = aws_security_group.this.id
  description       = "Redis protocol over TLS"
  cidr_ipv4         = each.value
  from_port         = var.port
  to_port           = var.port
  ip_protocol       = "tcp"
  tags              = local.tags
}

# Debian's mirrors and AWS's services have changing addresses.
resource "aws_vpc_security_group_egress_rule" "all" {
  security_group_id = aws_security_group.this.id
  description       = "Packages, Systems Manager, CloudWatch"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
  tags              = local.tags
}

resource "aws_eip" "this" {
  domain = "vpc"
  tags   = local.tags
}

resource "aws_eip_association" "this" {
  allocation_id = aws_eip.this.id
  instance_id   = aws_instance.this.id
}
