use super::*;

fn parse(text: &str) -> Result<Operation, String> {
    Operation::parse(text, &BTreeMap::from([("key".to_owned(), Binding::Key)]))
}

fn literal(text: &str) -> PathPart {
    PathPart::Literal(text.to_owned())
}

#[test]
fn a_method_and_a_path() {
    let operation = parse("POST /orders/{id}/lines/{key}").expect("an operation");
    assert_eq!(operation.method, Method::POST);
    let parameter = |name: &str, from| PathPart::Parameter { name: name.to_owned(), from };
    let expected = [
        literal("/orders/"),
        parameter("id", Binding::Header("id".into())),
        literal("/lines/"),
        parameter("key", Binding::Key),
    ];
    assert_eq!(operation.path, expected);
    assert_eq!(operation.parameters().collect::<Vec<_>>(), ["id", "key"]);
    for path in ["/", "/a/", "/a//b", "/%41@:~!$&'()*+,;="] {
        assert_eq!(parse(&format!("PURGE {path}")).expect(path).path, [literal(path)]);
    }
}

#[test]
fn faults_say_what_to_write() {
    let cases = [
        ("POST", "`POST` is no operation: write a method and a path, for instance `POST /orders/{id}`"),
        ("post /", "`post` is no method for a handler: use one like GET, POST, PUT, PATCH or DELETE, in capitals"),
        (
            "CONNECT /",
            "`CONNECT` is no method for a handler: use one like GET, POST, PUT, PATCH or DELETE, in capitals",
        ),
        ("POST orders", "the path `orders` must begin with `/`"),
        ("POST /{}", "`{}` is no parameter: its name is of letters, digits, `-`, `_` and `.`"),
        ("POST /{a b}", "`{a b}` is no parameter: its name is of letters, digits, `-`, `_` and `.`"),
        ("POST /x{id}", "in the path `/x{id}`, `x{id}` mixes text and parameters: a parameter is a whole segment"),
        ("POST /{a}{b}", "`{a}{b}` is no parameter: its name is of letters, digits, `-`, `_` and `.`"),
        ("POST /a?b=c", "the path `/a?b=c` must not hold a query or a fragment: use the route's `query` mapping"),
        ("POST /a b", "in the path `/a b`, `a b` has a character that must be percent-encoded"),
        ("POST /é", "in the path `/é`, `é` has a character that must be percent-encoded"),
        ("POST /%4", "in the path `/%4`, `%4` has a character that must be percent-encoded"),
        ("POST /a/../b", "the path `/a/../b` must not hold the segment `..`"),
        ("POST /%2E", "the path `/%2E` must not hold the segment `%2E`"),
    ];
    for (text, message) in cases {
        assert_eq!(parse(text).expect_err(text), message);
    }
}
