//! The ways from the load to the service on the laptop.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child as Process, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::child::Child;

/// A way, and the processes that it consists of.
pub struct Way {
    /// What it is called.
    pub name: String,
    /// Where requests and bulk go in.
    pub ports: [u16; 2],
    ends: Vec<Child>,
    others: Vec<Process>,
}

/// What the processes of a way have used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// Processor time of both ends, in milliseconds.
    pub millis: u64,
    /// Resident memory of each end, in KiB.
    pub kib: [u64; 2],
}

impl Drop for Way {
    fn drop(&mut self) {
        for process in &mut self.others {
            let _gone_already = process.kill();
            let _code = process.wait();
        }
    }
}

impl Way {
    /// No tunnel.
    pub fn direct(ports: [u16; 2]) -> Self {
        Self {
            name: "direct".into(),
            ports,
            ends: Vec::new(),
            others: Vec::new(),
        }
    }

    /// The tunnel of this program.
    pub fn tunnel(ports: [u16; 2], lanes: usize) -> Self {
        let (agent, said) = Child::start(&["agent".into()]);
        let said: [u16; 3] = serde_json::from_value(said).expect("three ports");
        let mut role = vec!["client".to_owned(), said[0].to_string(), lanes.to_string()];
        role.extend(ports.map(|port| port.to_string()));
        let (client, _) = Child::start(&role);
        Self {
            name: match lanes {
                1 => "dev, 1 carrier".into(),
                lanes => format!("dev, {lanes} carriers"),
            },
            ports: [said[1], said[2]],
            ends: vec![agent, client],
            others: Vec::new(),
        }
    }

    /// bore, if there is one: a connection of its own for each connection.
    pub fn bore(ports: [u16; 2]) -> Option<Self> {
        let program = std::env::var_os("DEV_BENCH_BORE")?;
        let mut server = Command::new(&program);
        server.args(["server", "--min-port", "20000", "--bind-addr", "127.0.0.1"]);
        let mut others = vec![start(server)];
        wait_for(7835);
        let outer = [free_port(), free_port()];
        for (local, outer) in ports.iter().zip(outer) {
            let mut client = Command::new(&program);
            client.args(["local", &local.to_string(), "--to", "127.0.0.1"]);
            client.args(["--port", &outer.to_string()]);
            others.push(start(client));
        }
        outer.into_iter().for_each(wait_for);
        Some(Self {
            name: "bore".into(),
            ports: outer,
            ends: Vec::new(),
            others,
        })
    }

    /// rathole, if there is one: a pool of connections.
    pub fn rathole(ports: [u16; 2], folder: &std::path::Path) -> Option<Self> {
        let program = std::env::var_os("DEV_BENCH_RATHOLE")?;
        let (control, outer) = (free_port(), [free_port(), free_port()]);
        let services = |of: &str, key: &str, ports: [u16; 2]| {
            let one = |number: usize| {
                let port = ports[number];
                format!("[{of}.services.s{number}]\n{key} = \"127.0.0.1:{port}\"\nnodelay = true\n")
            };
            format!("{}{}", one(0), one(1))
        };
        let token = "default_token = \"bench\"";
        let server = format!(
            "[server]\nbind_addr = \"127.0.0.1:{control}\"\n{token}\n{}",
            services("server", "bind_addr", outer)
        );
        let client = format!(
            "[client]\nremote_addr = \"127.0.0.1:{control}\"\n{token}\n{}",
            services("client", "local_addr", ports)
        );
        let mut others = Vec::new();
        for (name, text) in [("server", server), ("client", client)] {
            let file = folder.join(format!("{name}.toml"));
            std::fs::write(&file, text).expect("written");
            let mut command = Command::new(&program);
            command.arg(file);
            others.push(start(command));
            if name == "server" {
                wait_for(control);
            }
        }
        outer.into_iter().for_each(wait_for);
        Some(Self {
            name: "rathole".into(),
            ports: outer,
            ends: Vec::new(),
            others,
        })
    }

    /// What the processes have used so far; nothing is known of other programs.
    pub fn used(&self) -> Option<Used> {
        let [agent, client] = self.ends.as_slice() else {
            return None;
        };
        let number = |value: &Value, name: &str| value[name].as_u64().expect("a number");
        let said = [agent, client].map(|end| end.ask("used"));
        Some(Used {
            millis: said.iter().map(|said| number(said, "millis")).sum(),
            kib: [number(&said[0], "kib"), number(&said[1], "kib")],
        })
    }
}

fn start(mut command: Command) -> Process {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("bound").port()
}

/// Until something listens there.
fn wait_for(port: u16) {
    let begun = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "nothing on {port}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    // What was accepted for this connection has ended, and those that follow find it ready.
    std::thread::sleep(Duration::from_millis(200));
}
