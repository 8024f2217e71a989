data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}

data "aws_iam_policy_document" "assumed_by_ec2" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

# The databases' own role. It must never hold what the worker may do: an old primary could take the address back.
resource "aws_iam_role" "database" {
  name               = "${var.service}-database"
  assume_role_policy = data.aws_iam_policy_document.assumed_by_ec2.json
}

resource "aws_iam_role_policy_attachment" "database_sessions" {
  role       = aws_iam_role.database.name
  policy_arn = "arn:${data.aws_partition.this.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

resource "aws_iam_instance_profile" "database" {
  name = "${var.service}-database"
  role = aws_iam_role.database.name
}

locals {
  ec2_arn       = "arn:${data.aws_partition.this.partition}:ec2:${var.region}:${data.aws_caller_identity.this.account_id}"
  instance_arns = [for instance in aws_instance.database : instance.arn]
  interface_arns = [
    for instance in aws_instance.database : "${local.ec2_arn}:network-interface/${instance.primary_network_interface_id}"
  ]
  address_arn = "${local.ec2_arn}:elastic-ip/${aws_eip.service.allocation_id}"
}

# All that Tideover asks of AWS, and nothing else.
data "aws_iam_policy_document" "worker" {
  statement {
    sid       = "ReadWhatHasNoResourceLevelPermissions"
    actions   = ["ec2:DescribeInstances", "ec2:DescribeAddresses", "route53:ListHostedZonesByName"]
    resources = ["*"]
  }

  statement {
    sid       = "FenceAndUnfence"
    actions   = ["ec2:StopInstances", "ec2:StartInstances"]
    resources = local.instance_arns
  }

  statement {
    sid       = "MoveTheAddress"
    actions   = ["ec2:AssociateAddress", "ec2:DisassociateAddress"]
    resources = concat([local.address_arn], local.instance_arns, local.interface_arns)
  }

  statement {
    sid       = "ReadTheZone"
    actions   = ["route53:GetHostedZone", "route53:ListResourceRecordSets"]
    resources = [aws_route53_zone.this.arn]
  }

  statement {
    sid       = "FollowAChange"
    actions   = ["route53:GetChange"]
    resources = ["arn:${data.aws_partition.this.partition}:route53:::change/*"]
  }

  statement {
    sid       = "ChangeTheOneName"
    actions   = ["route53:ChangeResourceRecordSets"]
    resources = [aws_route53_zone.this.arn]

    condition {
      test     = "ForAllValues:StringEquals"
      variable = "route53:ChangeResourceRecordSetsNormalizedRecordNames"
      values   = ["db.${var.zone_name}"]
    }

    condition {
      test     = "ForAllValues:StringEquals"
      variable = "route53:ChangeResourceRecordSetsRecordTypes"
      values   = ["A", "AAAA", "CNAME"]
    }

    # Without UPSERT nobody overwrites what they have not read.
    condition {
      test     = "ForAllValues:StringEquals"
      variable = "route53:ChangeResourceRecordSetsActions"
      values   = ["CREATE", "DELETE"]
    }
  }
}

resource "aws_iam_policy" "worker" {
  name   = "${var.service}-tideover-worker"
  policy = data.aws_iam_policy_document.worker.json
}

# For a worker on EC2; attach the policy elsewhere for one that runs outside of AWS.
resource "aws_iam_role" "worker" {
  name               = "${var.service}-tideover-worker"
  assume_role_policy = data.aws_iam_policy_document.assumed_by_ec2.json
}

resource "aws_iam_role_policy_attachment" "worker" {
  role       = aws_iam_role.worker.name
  policy_arn = aws_iam_policy.worker.arn
}

resource "aws_iam_instance_profile" "worker" {
  name = "${var.service}-tideover-worker"
  role = aws_iam_role.worker.name
}
