mod snippet;

use axum::{routing::post, Router};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let port = std::env::args().nth(1).expect("a port");
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await.expect("a free port");
    let app = Router::new().route("/webhooks", post(snippet::receive));
    axum::serve(listener, app).await.expect("a server");
}
