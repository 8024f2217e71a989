resource "aws_vpc" "this" {
  cidr_block           = var.vpc_cidr
  enable_dns_support   = true
  enable_dns_hostnames = true

  tags = { Name = var.service }
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id

  tags = { Name = var.service }
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id

  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.this.id
  }

  tags = { Name = var.service }
}

resource "aws_subnet" "site" {
  for_each = var.sites

  vpc_id            = aws_vpc.this.id
  availability_zone = each.value.zone
  cidr_block        = each.value.subnet

  # The instance without the elastic IP reaches package mirrors and the SSM endpoints by this address.
  map_public_ip_on_launch = true

  tags = { Name = "${var.service}-${each.key}" }
}

resource "aws_route_table_association" "site" {
  for_each = aws_subnet.site

  subnet_id      = each.value.id
  route_table_id = aws_route_table.public.id
}

resource "aws_security_group" "worker" {
  name        = "${var.service}-tideover-worker"
  description = "Tideover workers: no one connects to them"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${var.service}-tideover-worker" }
}

resource "aws_vpc_security_group_egress_rule" "worker" {
  security_group_id = aws_security_group.worker.id
  description       = "AWS APIs, Temporal, the databases"
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_security_group" "database" {
  name        = "${var.service}-database"
  description = "PostgreSQL servers of ${var.service}"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${var.service}-database" }
}

resource "aws_vpc_security_group_ingress_rule" "database_replication" {
  security_group_id            = aws_security_group.database.id
  description                  = "Replication, pg_rewind and base backup between the sites"
  referenced_security_group_id = aws_security_group.database.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_vpc_security_group_ingress_rule" "database_worker" {
  for_each = { sql = 5432, ssh = 22 }

  security_group_id            = aws_security_group.database.id
  description                  = "Tideover: ${each.key}"
  referenced_security_group_id = aws_security_group.worker.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_vpc_security_group_ingress_rule" "database_client" {
  for_each = toset(concat([var.vpc_cidr], var.client_cidrs))

  security_group_id = aws_security_group.database.id
  description       = "Clients"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 5432
  to_port           = 5432
}

resource "aws_vpc_security_group_egress_rule" "database" {
  security_group_id = aws_security_group.database.id
  description       = "Each other, package mirrors, SSM"
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}
