"""Reads a SAM template: transforms it as the deployment would, and resolves what the local run needs of it.

The transform is AWS's own (aws-sam-translator). CloudFormation's functions (`Ref`, `Sub`, `If`, `FindInMap`
and the rest) are resolved by moto's CloudFormation: the template is deployed there, reduced to the resources
that functions talk to, with one output for each document that the local run reads.
"""

import json
import re
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

import yaml
from botocore.exceptions import ClientError
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import intrinsics_multi_constructor

from remora.errors import InvalidArgumentError
from remora.local.aws import LocalAws
from remora.local.deployment import (
    Bucket,
    Deployment,
    EdgeSettings,
    Expiration,
    FunctionSettings,
    GatewayResponse,
    Quota,
    RequestAuthorizer,
    RestApi,
    Route,
    Rule,
    Throttle,
    UsagePlan,
)
from remora.local.distribution import edge_settings, holds_distribution
from remora.local.messages import Json

STACK_NAME = "remora-local"
_BUCKET = "AWS::S3::Bucket"
# Resources that a function can call, and that moto therefore has to hold. Everything else in a template is
# either played by the local run itself (the API, the functions, the rules) or has no meaning on one machine (roles,
# permissions, alarms).
_DATA_RESOURCES = (
    "AWS::DynamoDB::Table",
    "AWS::KMS::Alias",
    "AWS::KMS::Key",
    _BUCKET,
    "AWS::SNS::Topic",
    "AWS::SQS::Queue",
    "AWS::SSM::Parameter",
)
_SECRET = "AWS::SecretsManager::Secret"  # noqa: S105 - the name of a type
_FUNCTION = "AWS::Lambda::Function"
_REST_API = "AWS::ApiGateway::RestApi"
_STAGE = "AWS::ApiGateway::Stage"
_USAGE_PLAN = "AWS::ApiGateway::UsagePlan"
_RULE = "AWS::Events::Rule"
_EVENT_INVOKE_CONFIG = "AWS::Lambda::EventInvokeConfig"
_NESTED_STACK = "AWS::CloudFormation::Stack"
_ALIAS = "AWS::Lambda::Alias"
# The properties that the local run reads. Others may refer to resources that have no local counterpart.
_READ = {
    _FUNCTION: ("Handler", "Timeout", "MemorySize", "Environment"),
    _REST_API: ("Body", "ApiKeySourceType", "BinaryMediaTypes"),
    _STAGE: ("StageName", "Variables", "MethodSettings"),
    _USAGE_PLAN: ("Throttle", "Quota"),
    _BUCKET: ("VersioningConfiguration", "NotificationConfiguration", "LifecycleConfiguration"),
    _RULE: ("EventPattern", "ScheduleExpression", "State", "Targets"),
    _EVENT_INVOKE_CONFIG: ("FunctionName", "MaximumRetryAttempts", "DestinationConfig"),
    _NESTED_STACK: ("TemplateURL", "Parameters"),
}
_DEFAULT_INTEGRATION_TIMEOUT_MS = 29_000
_DEFAULT_AUTHORIZER_TTL = 300
_LAMBDA_DEFAULT_TIMEOUT = 3
_LAMBDA_DEFAULT_MEMORY_MB = 128
_LAMBDA_DEFAULT_RETRIES = 2

# `${Stack.Outputs.Name}`, as `Fn::Sub` has it
_PLACEHOLDER = re.compile(r"\$\{(([A-Za-z0-9]+)\.Outputs\.[A-Za-z0-9]+)\}")
# `${Name}`, as `Fn::Sub` has it
_REFERENCE = re.compile(r"\$\{([A-Za-z0-9]+)\}")

_Document = dict[str, Json]


class _Loader(yaml.CSafeLoader):
    """What SAM reads a template with, in C: the same answer in a tenth of the time."""


_Loader.add_multi_constructor("!", intrinsics_multi_constructor)
# moto insists on a role that Lambda may assume.
_ROLE_NAME = "LocalExecutionRole"
_ROLE: _Document = {
    "Type": "AWS::IAM::Role",
    "Properties": {
        "AssumeRolePolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "sts:AssumeRole",
                    "Principal": {"Service": "lambda.amazonaws.com"},
                }
            ],
        }
    },
}


def deploy(path: Path, parameters: Mapping[str, str], aws: LocalAws) -> Deployment:
    """Deploy a SAM template locally.

    Args:
        path: The template.
        parameters: Values for its parameters, in place of their defaults. Names that the template does not
            have are refused.
        aws: Where its secrets, tables, buckets and queues are created.

    Raises:
        InvalidArgumentError: The template cannot be read, is not valid, or uses what has no local counterpart.
    """
    source = _read(path)
    unknown = sorted(set(parameters) - set(source.get("Parameters", {})))
    if unknown:
        accepted = ", ".join(sorted(source.get("Parameters", {}))) or "none"
        raise InvalidArgumentError(f"{path} has no parameter {', '.join(unknown)}. It has: {accepted}.")
    code_dirs = _take_code_dirs(source, path.parent)
    try:
        transformed = Translator({}, Parser(), boto_session=aws.session).translate(source, dict(parameters))
    except InvalidDocumentException as error:
        causes = "; ".join(cause.message for cause in error.causes) or error.message
        raise InvalidArgumentError(f"{path} is not a valid SAM template: {causes}") from None
    _call_functions_themselves(transformed)
    _name_buckets(transformed)
    documents = _resolve(path, transformed, parameters, aws)
    configurations = {item["FunctionName"]: item for item in documents[_EVENT_INVOKE_CONFIG].values()}
    return Deployment(
        api=_rest_api(path, documents, aws),
        functions={
            name: _function(name, properties, code_dirs, configurations.get(name, {}))
            for name, properties in documents[_FUNCTION].items()
        },
        buckets=tuple(_bucket(path, name, properties, aws) for name, properties in documents[_BUCKET].items()),
        rules=tuple(
            _rule(path, name, properties)
            for name, properties in documents[_RULE].items()
            if properties.get("State", "ENABLED") != "DISABLED"
        ),
        edge=_edge(path, documents, aws),
    )


def parameter_defaults(path: Path) -> dict[str, str]:
    """Return a template's parameters by name, each with its default, which is empty where there is none.

    Raises:
        InvalidArgumentError: The template cannot be read.
    """
    parameters: dict[str, dict[str, object]] = _read(path).get("Parameters", {})
    return {name: str(parameter.get("Default", "")) for name, parameter in parameters.items()}


def _read(path: Path) -> _Document:
    try:
        source = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - it is a safe one
    except OSError as error:
        raise InvalidArgumentError(
            f"The template {path} cannot be read ({error.strerror}). "
            "Start from the folder that holds template.yaml, or name the template with --template."
        ) from None
    except yaml.YAMLError as error:
        raise InvalidArgumentError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(source, dict) or not isinstance(source.get("Resources"), dict):
        raise InvalidArgumentError(f"{path} is not a CloudFormation template: it has no Resources.")
    return source


def _take_code_dirs(source: _Document, root: Path) -> dict[str, Path]:
    """Replace local code by an address in S3, as packaging does, and return where the code really is."""
    code_dirs: dict[str, Path] = {}
    shared = source.get("Globals", {}).get("Function", {}).pop("CodeUri", None)
    for name, resource in source["Resources"].items():
        properties = resource.setdefault("Properties", {})
        if resource["Type"] == "AWS::Serverless::Function":
            code_dirs[name] = (root / properties.get("CodeUri", shared or ".")).resolve()
            properties["CodeUri"] = "s3://local/code"
        elif resource["Type"] == "AWS::Serverless::LayerVersion":
            properties["ContentUri"] = "s3://local/layer"
    return code_dirs


def _call_functions_themselves(template: _Document) -> None:
    """Put functions in place of their aliases: versions have no local counterpart, there is only what is on disk."""
    aliases = {
        name: resource["Properties"]["FunctionName"]["Ref"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == _ALIAS
    }
    if aliases:
        template["Resources"] = _without_aliases(aliases, template["Resources"])


def _without_aliases(aliases: Mapping[str, str], value: Json) -> Json:
    if isinstance(value, list):
        return [_without_aliases(aliases, item) for item in value]
    if isinstance(value, str):
        return _REFERENCE.sub(
            lambda found: f"${{{aliases[found[1]]}.Arn}}" if found[1] in aliases else found[0], value
        )
    if not isinstance(value, dict):
        return value
    if value.get("Ref") in aliases:
        return {"Fn::GetAtt": [aliases[value["Ref"]], "Arn"]}
    return {key: _without_aliases(aliases, item) for key, item in value.items()}


def _name_buckets(template: _Document) -> None:
    """Name the buckets that have no name after the template's ids, where AWS makes a new name with each stack."""
    for name, resource in template["Resources"].items():
        if resource["Type"] == _BUCKET:
            resource.setdefault("Properties", {}).setdefault("BucketName", f"{STACK_NAME}-{name}".lower())


def _resolve(
    path: Path, template: _Document, parameters: Mapping[str, str], aws: LocalAws
) -> dict[str, dict[str, _Document]]:
    """Deploy the reduced template to moto, and return the properties that the local run reads, resolved.

    Returns:
        Resource type, to logical id, to properties. The id of the API is added as its property `Id`, the ARN of
        each function as its property `Arn`, and the name of each bucket as its property `Name`.
    """
    reduced: dict[str, _Document] = {_ROLE_NAME: _ROLE}
    # By logical id: secrets by their ARNs, usage plans by their ids.
    created: dict[str, str] = {}
    outputs: _Document = {}
    kinds: dict[str, tuple[str, str]] = {}
    nested = {name for name, resource in template["Resources"].items() if resource["Type"] == _NESTED_STACK}
    for name, resource in template["Resources"].items():
        kind, properties = resource["Type"], resource.get("Properties", {})
        if kind == _NESTED_STACK:
            if not holds_distribution(_read(path.parent / properties["TemplateURL"])):
                continue
            # Played whether or not it would be deployed.
            resource.pop("Condition", None)
        condition = {"Condition": resource["Condition"]} if "Condition" in resource else {}
        if kind in _DATA_RESOURCES:
            reduced[name] = {"Type": kind, "Properties": properties, **condition}
        if kind == _SECRET:
            created[name] = _create_secret(name, properties, aws)
        elif kind == _USAGE_PLAN:
            # Its keys are attached to it there, as in AWS; its limits are the local gateway's.
            created[name] = aws.apigateway.create_usage_plan(name=name)["id"]
        if kind not in _READ:
            continue
        wanted = {key: properties[key] for key in _READ[kind] if key in properties}
        if kind == _FUNCTION:
            reduced[name] = {"Type": kind, "Properties": _function_stand_in(name), **condition}
            wanted["Arn"] = {"Fn::GetAtt": [name, "Arn"]}
        elif kind == _USAGE_PLAN:
            wanted["Id"] = {"Ref": name}
        elif kind == _REST_API:
            reduced[name] = {"Type": kind, "Properties": {"Name": name}, **condition}
            wanted["Id"] = {"Ref": name}
        elif kind == _BUCKET:
            wanted["Name"] = {"Ref": name}
        key = f"Output{len(outputs)}"
        kinds[key] = (kind, name)
        outputs[key] = {"Value": {"Fn::ToJsonString": _without_outputs_of(nested, wanted)}, **condition}
    stack: _Document = {
        **{section: template[section] for section in ("Mappings", "Conditions") if section in template},
        # moto's CloudFormation does not know secrets and usage plans. `Ref` reads a parameter as it reads a resource,
        # so each that was created above takes part as a parameter that holds what `Ref` would give.
        "Parameters": template.get("Parameters", {}) | {name: {"Type": "String"} for name in created},
        "Resources": reduced,
        "Outputs": outputs,
    }
    known = {*stack["Parameters"], *reduced}
    if missing := sorted({name for name in _references(outputs) if "::" not in name} - known):
        raise InvalidArgumentError(
            f"{path} cannot be deployed locally: what the functions and the API are told refers to "
            f"{', '.join(missing)}, which the template lacks or which has no local counterpart."
        )
    # Its own outputs too, for whoever asks the stack; those that tell of what does not exist here, do not.
    for key, output in template.get("Outputs", {}).items():
        if {name for name in _references(output["Value"]) if "::" not in name} <= known:
            outputs[key] = {part: output[part] for part in ("Value", "Condition") if part in output}
    client = aws.cloudformation
    try:
        client.create_stack(
            StackName=STACK_NAME,
            # moto tries YAML first, and reads it slowly; no YAML begins with a tab.
            TemplateBody="\t" + json.dumps(stack),
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in {**parameters, **created}.items()
            ],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        stack_there = client.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    except ClientError as error:
        raise InvalidArgumentError(
            f"{path} cannot be deployed locally: {error.response['Error']['Message']}"
        ) from None
    resolved: dict[str, dict[str, _Document]] = {kind: {} for kind in _READ}
    for output in stack_there.get("Outputs", []):
        if output["OutputKey"] not in kinds:
            continue
        kind, name = kinds[output["OutputKey"]]
        resolved[kind][name] = _without_nulls(json.loads(output["OutputValue"]))
    return resolved


def _without_outputs_of(nested: Set[str], value: Json) -> Json:
    """Put names that lead nowhere in place of what nested stacks answer, which has no local counterpart."""
    if isinstance(value, list):
        return [_without_outputs_of(nested, item) for item in value]
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda found: _nowhere(found[1]) if found[2] in nested else found[0], value)
    if not isinstance(value, dict):
        return value
    attribute = value.get("Fn::GetAtt")
    if attribute is not None and attribute[0] in nested:
        return _nowhere(".".join(attribute))
    return {key: item if key == "Ref" else _without_outputs_of(nested, item) for key, item in value.items()}


def _nowhere(name: str) -> str:
    return f"{name.lower()}.invalid"  # a name that nobody can have: RFC 2606, section 2


def _references(value: Json) -> Iterator[str]:
    """Yield the logical names that an expression refers to."""
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        if key == "Ref":
            yield item
        elif key == "Fn::GetAtt":
            yield item[0]
        elif key == "Fn::Sub":
            text, variables = (item, {}) if isinstance(item, str) else item
            yield from set(re.findall(r"\$\{([A-Za-z0-9:]+)", text)) - set(variables)
            yield from _references(variables)
        else:
            yield from _references(item)


def _create_secret(name: str, properties: _Document, aws: LocalAws) -> str:
    """Create a secret as CloudFormation would, and return its ARN."""
    client = aws.secretsmanager
    value = properties.get("SecretString")
    if value is None:
        generate = properties.get("GenerateSecretString", {})
        value = client.get_random_password(
            PasswordLength=int(generate.get("PasswordLength", 32)),
            ExcludePunctuation=bool(generate.get("ExcludePunctuation", False)),
        )["RandomPassword"]
        if "SecretStringTemplate" in generate:
            document = json.loads(generate["SecretStringTemplate"])
            value = json.dumps({**document, generate["GenerateStringKey"]: value})
    return client.create_secret(Name=name, SecretString=value)["ARN"]


def _function_stand_in(name: str) -> _Document:
    """Return the least that makes moto hold a function, so that its ARN can be asked for."""
    return {
        "FunctionName": name,
        "Code": {"ZipFile": "#"},
        "Handler": "index.handler",
        "Role": {"Fn::GetAtt": [_ROLE_NAME, "Arn"]},
        "Runtime": "python3.13",
    }


def _without_nulls(value: Json) -> Json:
    """Drop what `AWS::NoValue` has become."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value if item is not None]
    return value


def _function(
    name: str, properties: _Document, code_dirs: Mapping[str, Path], asynchronous: _Document
) -> FunctionSettings:
    on_failure = asynchronous.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination", "")
    return FunctionSettings(
        name=name,
        arn=properties["Arn"],
        handler=properties["Handler"],
        code_dir=code_dirs[name],
        timeout=float(properties.get("Timeout", _LAMBDA_DEFAULT_TIMEOUT)),
        memory_mb=int(properties.get("MemorySize", _LAMBDA_DEFAULT_MEMORY_MB)),
        environment={
            key: str(value) for key, value in properties.get("Environment", {}).get("Variables", {}).items()
        },
        retries=int(asynchronous.get("MaximumRetryAttempts", _LAMBDA_DEFAULT_RETRIES)),
        # Others that may be told, such as a queue, have nobody who looks at them here.
        on_failure=on_failure.rpartition(":function:")[2] if ":function:" in on_failure else None,
    )


def _bucket(path: Path, name: str, properties: _Document, aws: LocalAws) -> Bucket:
    """Return a bucket, with the versioning that moto's CloudFormation leaves out."""
    notifications = properties.get("NotificationConfiguration", {})
    if set(notifications) - {"EventBridgeConfiguration"}:
        raise InvalidArgumentError(
            f"{path}: the bucket {name} tells others than EventBridge of its objects, which is not done locally. "
            "Use EventBridgeConfiguration and a rule."
        )
    versioned = properties.get("VersioningConfiguration", {}).get("Status") == "Enabled"
    if versioned:
        aws.s3_client.put_bucket_versioning(Bucket=properties["Name"], VersioningConfiguration={"Status": "Enabled"})
    return Bucket(
        name=properties["Name"],
        versioned=versioned,
        notifies="EventBridgeConfiguration" in notifications,
        expirations=tuple(
            Expiration(rule["Prefix"], int(rule["ExpirationInDays"]))
            for rule in properties.get("LifecycleConfiguration", {}).get("Rules", [])
            if rule["Status"] == "Enabled" and "ExpirationInDays" in rule
        ),
    )


def _rule(path: Path, name: str, properties: _Document) -> Rule:
    arns = [target["Arn"] for target in properties.get("Targets", [])]
    if others := [arn for arn in arns if ":function:" not in arn]:
        raise InvalidArgumentError(
            f"{path}: the rule {name} leads to {', '.join(others)}. The local run knows rules that lead to functions."
        )
    return Rule(
        name=name,
        pattern=properties.get("EventPattern"),
        schedule=properties.get("ScheduleExpression"),
        functions=tuple(arn.rpartition(":function:")[2] for arn in arns),
    )


def _edge(path: Path, documents: Mapping[str, Mapping[str, _Document]], aws: LocalAws) -> EdgeSettings | None:
    for stack in documents[_NESTED_STACK].values():
        template = path.parent / stack["TemplateURL"]
        return edge_settings(template, _read(template), stack.get("Parameters", {}), aws)
    return None


def _rest_api(path: Path, documents: Mapping[str, Mapping[str, _Document]], aws: LocalAws) -> RestApi:
    apis, stages = list(documents[_REST_API].values()), list(documents[_STAGE].values())
    if len(apis) != 1 or len(stages) != 1:
        raise InvalidArgumentError(
            f"{path} deploys {len(apis)} REST APIs with {len(stages)} stages; "
            "the local gateway serves exactly one of each."
        )
    (api,), (stage,) = apis, stages
    body = api["Body"]
    schemes = body.get("securityDefinitions") or body.get("components", {}).get("securitySchemes", {})
    return RestApi(
        id=api["Id"],
        stage=stage["StageName"],
        api_key_source=api.get("ApiKeySourceType") or body.get("x-amazon-apigateway-api-key-source", "HEADER"),
        binary_media_types=frozenset(
            _unescaped(media_type)
            for media_type in [
                *api.get("BinaryMediaTypes", []),
                *body.get("x-amazon-apigateway-binary-media-types", []),
            ]
        ),
        routes=tuple(
            _route(path, resource, method, operation, body, schemes)
            for resource, methods in body.get("paths", {}).items()
            for method, operation in methods.items()
            if method != "parameters"
        ),
        authorizers={
            name: _authorizer(path, name, scheme["x-amazon-apigateway-authorizer"])
            for name, scheme in schemes.items()
            if "x-amazon-apigateway-authorizer" in scheme
        },
        gateway_responses={
            kind: GatewayResponse(
                status=int(response["statusCode"]) if "statusCode" in response else None,
                parameters=response.get("responseParameters", {}),
                templates=response.get("responseTemplates", {}),
            )
            for kind, response in body.get("x-amazon-apigateway-gateway-responses", {}).items()
        },
        stage_variables=stage.get("Variables", {}),
        usage_plans=tuple(_usage_plan(plan) for plan in documents[_USAGE_PLAN].values()),
        method_throttles={
            (_unescaped(setting["ResourcePath"]), setting["HttpMethod"]): Throttle(
                rate=float(setting["ThrottlingRateLimit"]), burst=int(setting["ThrottlingBurstLimit"])
            )
            for setting in stage.get("MethodSettings", [])
            if "ThrottlingRateLimit" in setting and "ThrottlingBurstLimit" in setting
        },
    )


def _unescaped(path: str) -> str:
    """Undo the escaping of `/` in stage settings (`/~1things~1{id}`) and media types (`image~1png`)."""
    unescaped = path.replace("~1", "/")
    return unescaped.removeprefix("/") if unescaped.startswith("//") else unescaped


def _route(
    path: Path,
    resource: str,
    method: str,
    operation: _Document,
    body: _Document,
    schemes: Mapping[str, _Document],
) -> Route:
    integration = operation.get("x-amazon-apigateway-integration", {})
    if str(integration.get("type", "")).lower() != "aws_proxy":
        raise InvalidArgumentError(
            f"{path}: {method.upper()} {resource} has an integration of type {integration.get('type')}. "
            "The local gateway serves Lambda proxy integrations (aws_proxy) only."
        )
    security = operation["security"] if "security" in operation else body.get("security", [])
    names = {name for requirement in security for name in requirement}
    authorizers = sorted(name for name in names if "x-amazon-apigateway-authorizer" in schemes.get(name, {}))
    return Route(
        resource=resource,
        method="ANY" if method == "x-amazon-apigateway-any-method" else method.upper(),
        function=_function_name(path, integration["uri"]),
        timeout=float(integration.get("timeoutInMillis", _DEFAULT_INTEGRATION_TIMEOUT_MS)) / 1000,
        authorizer=authorizers[0] if authorizers else None,
        api_key_required=any(
            schemes.get(name, {}).get("name", "").lower() == "x-api-key" for name in names - set(authorizers)
        ),
    )


def _authorizer(path: Path, name: str, definition: _Document) -> RequestAuthorizer:
    if definition.get("type") != "request":
        raise InvalidArgumentError(
            f"{path}: the authorizer {name} is of type {definition.get('type')}. "
            "The local gateway knows REQUEST authorizers only."
        )
    sources = definition.get("identitySource", "")
    return RequestAuthorizer(
        name=name,
        function=_function_name(path, definition["authorizerUri"]),
        identity_sources=tuple(source.strip() for source in sources.split(",") if source.strip()),
        ttl=float(definition.get("authorizerResultTtlInSeconds", _DEFAULT_AUTHORIZER_TTL)),
    )


def _function_name(path: Path, uri: str) -> str:
    found = re.search(r":function:([A-Za-z0-9_-]+)(?::[^/]+)?/invocations$", uri)
    if found is None:
        raise InvalidArgumentError(f"{path}: {uri} does not name a Lambda function of the template.")
    return found[1]


def _usage_plan(plan: _Document) -> UsagePlan:
    throttle, quota = plan.get("Throttle"), plan.get("Quota")
    return UsagePlan(
        id=plan["Id"],
        throttle=Throttle(float(throttle["RateLimit"]), int(throttle["BurstLimit"])) if throttle else None,
        quota=Quota(int(quota["Limit"]), quota["Period"]) if quota else None,
    )
