"""Writes src/penstock/adapters/service_shapes/shapes.zip: what services of AWS answer, from botocore's models.

Run it with a Python that has botocore, and say in docs/decisions/0033-trying-a-state.md which version it was:

    python -m venv ../models && ../models/bin/pip install botocore==1.41.5 && ../models/bin/python -P scripts/service_shapes.py

Of each service only the shapes that its answers are made of are kept, without the documentation: 640 kB for 88 services, as against
140 MB. The names are botocore's; the file of a service is read when a mocked answer of that service is validated.
"""

import json
import zipfile
from pathlib import Path

import botocore
from botocore.loaders import create_loader

OUT = Path(__file__).parent.parent / "src/penstock/adapters/service_shapes/shapes.zip"
KEPT = ("type", "required", "enum", "min", "max")
SERVICES = """
acm apigateway apigatewaymanagementapi apigatewayv2 appsync athena autoscaling backup batch bedrock bedrock-agent
bedrock-agent-runtime bedrock-runtime cloudformation cloudfront cloudtrail cloudwatch codebuild codepipeline cognito-idp comprehend
config databrew datasync dynamodb ec2 ecr ecs efs eks elasticache elbv2 emr emr-containers emr-serverless events firehose fsx glue
guardduty iam inspector2 iot iot-data kendra kinesis kms lambda lexv2-runtime logs mediaconvert opensearch organizations
personalize personalize-runtime pinpoint pipes polly rds rds-data redshift redshift-data rekognition resourcegroupstaggingapi
route53 s3 s3control sagemaker sagemaker-runtime scheduler secretsmanager securityhub servicecatalog servicediscovery ses sesv2 sns
sqs ssm stepfunctions sts textract timestream-query timestream-write transcribe translate wafv2 xray
"""


def main():
    loader = create_loader()
    with zipfile.ZipFile(OUT, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for service in SERVICES.split():
            text = json.dumps(outputs_of(loader.load_service_model(service, "service-2")), separators=(",", ":"))
            archive.writestr(zipfile.ZipInfo(f"{service}.json"), text, zipfile.ZIP_DEFLATED)  # ZipInfo: no time in it
    print(f"{OUT}: {OUT.stat().st_size} bytes, botocore {botocore.__version__}")


def outputs_of(model):
    shapes = {}
    operations = {}

    def keep(name):
        if name in shapes:
            return
        given = model["shapes"][name]
        kept = shapes[name] = {key: given[key] for key in KEPT if key in given}
        if given["type"] == "structure":
            kept["members"] = {key: each["shape"] for key, each in given.get("members", {}).items()}
            inner = kept["members"].values()
        else:
            inner = [given[key]["shape"] for key in ("member", "value") if key in given]
            kept |= {"of": inner[0]} if inner else {}
        for each in inner:
            keep(each)

    for name, operation in model["operations"].items():
        if "output" in operation:
            operations[name] = operation["output"]["shape"]
            keep(operations[name])
    return {"operations": operations, "shapes": shapes}


if __name__ == "__main__":
    main()
