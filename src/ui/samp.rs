//! Connection to other programs on this computer by SAMP (Simple Application Messaging Protocol). The page sends
//! nothing before the user presses Connect.

use gloo::net::http::Request;
use leptos::{prelude::*, task::spawn_local};

use super::context::{Rows, TableView};
use super::format;
use super::row::Row;
use crate::result::Label;
use crate::share::samp::{self, HUB_URL, LOAD_TABLE, POINT_AT, Value};
use crate::share::{self, Format, Record};

/// Time limit for a program to open a table, s.
const TIMEOUT_S: &str = "30";

/// Programs that load tables from http addresses only, not from a `data:` URL. A `data:` URL contains the table itself.
const FETCH_ONLY: [&str; 2] = ["topcat", "aladin"];

/// Another program that is connected to the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SampClient {
    id: String,
    name: String,
    accepts_positions: bool,
    accepts_tables: bool,
}

impl SampClient {
    /// True if the program can open a table that the page sends.
    fn can_open(&self) -> bool {
        let name = self.name.to_lowercase();
        self.accepts_tables && !FETCH_ONLY.iter().any(|program| name.starts_with(program))
    }
}

/// State of the connection to the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
enum HubConnection {
    /// The page is not connected.
    Disconnected,
    /// The page waits for the hub, which may ask the user for permission.
    Connecting,
    /// Connected, with the key for all further calls.
    Connected { key: String, clients: Vec<SampClient> },
}

/// Signals of the connection. A handle that is cheap to copy.
#[derive(Clone, Copy)]
pub(super) struct Samp {
    hub: RwSignal<HubConnection>,
    /// Bytes sent to the hub on this computer.
    sent_bytes: RwSignal<u64>,
    /// True if the page sends the position of each newly selected star to the other programs.
    follows_selection: RwSignal<bool>,
    message: RwSignal<String>,
    /// Number of this connection. The page ignores replies to earlier connections.
    connection_number: RwSignal<u32>,
}

impl Samp {
    /// The initial state: not connected.
    pub(super) fn new() -> Self {
        Self {
            hub: RwSignal::new(HubConnection::Disconnected),
            sent_bytes: RwSignal::new(0),
            follows_selection: RwSignal::new(false),
            message: RwSignal::new(String::new()),
            connection_number: RwSignal::new(0),
        }
    }

    /// Bytes sent to the hub on this computer.
    pub(super) fn sent_bytes(&self) -> u64 {
        self.sent_bytes.get()
    }

    fn key(&self) -> Option<String> {
        self.hub.with_untracked(|hub| match hub {
            HubConnection::Connected { key, .. } => Some(key.clone()),
            _ => None,
        })
    }

    fn clients(&self) -> Vec<SampClient> {
        self.hub.with(|hub| match hub {
            HubConnection::Connected { clients, .. } => clients.clone(),
            _ => Vec::new(),
        })
    }

    /// Calls a method of the hub.
    async fn call(&self, method: &str, parameters: &[Value]) -> Result<Value, String> {
        let body = samp::call(&format!("samp.webhub.{method}"), parameters);
        self.sent_bytes.update(|bytes| *bytes += body.len() as u64);
        let request = Request::post(HUB_URL).header("Content-Type", "text/xml").body(body);
        let no_hub =
            "no SAMP hub runs on this computer; start TOPCAT or Aladin, which contain a hub, then press Connect again";
        let response = request.map_err(|e| e.to_string())?.send().await.map_err(|_| no_hub.to_owned())?;
        if !response.ok() {
            return Err(format!("the hub returned status {}", response.status()));
        }
        samp::parse_response(&response.text().await.map_err(|e| e.to_string())?)
    }

    /// Registers the page at the hub and lists the other programs.
    async fn register(&self) -> Result<HubConnection, String> {
        let registered = self.call("register", &[Value::map([("samp.name", Value::text("Specola"))])]).await?;
        let key =
            registered.get("samp.private-key").and_then(Value::as_text).ok_or("the hub returned no key")?.to_owned();
        let metadata = [
            ("samp.name", Value::text("Specola")),
            ("samp.description.text", Value::text("Stellar parameters from spectra, in a browser tab")),
        ];
        self.call("declareMetadata", &[Value::text(key.clone()), Value::map(metadata)]).await?;
        let clients = self.list_clients(&key).await?;
        Ok(HubConnection::Connected { key, clients })
    }

    /// The programs that accept sky positions or tables.
    async fn list_clients(&self, key: &str) -> Result<Vec<SampClient>, String> {
        let subscribers =
            async |mtype: &str| self.call("getSubscribedClients", &[Value::text(key), Value::text(mtype)]).await;
        let (positions, tables) = (subscribers(POINT_AT).await?, subscribers(LOAD_TABLE).await?);
        let mut ids = positions.names();
        ids.extend(tables.names().into_iter().filter(|id| positions.get(id).is_none()));
        let mut clients = Vec::new();
        for id in ids {
            let metadata = self.call("getMetadata", &[Value::text(key), Value::text(id)]).await?;
            clients.push(SampClient {
                id: id.to_owned(),
                name: metadata.get("samp.name").and_then(Value::as_text).unwrap_or(id).to_owned(),
                accepts_positions: positions.get(id).is_some(),
                accepts_tables: tables.get(id).is_some(),
            });
        }
        Ok(clients)
    }

    fn connect(self) {
        let number = self.connection_number.get_untracked() + 1;
        self.connection_number.set(number);
        self.hub.set(HubConnection::Connecting);
        self.message.set("Connecting to the hub. It may ask you for permission.".into());
        spawn_local(async move {
            let registered = self.register().await;
            if self.connection_number.get_untracked() != number {
                // The user pressed Stop meanwhile: unregister again.
                if let Ok(HubConnection::Connected { key, .. }) = registered {
                    let _ = self.call("unregister", &[Value::text(key)]).await;
                }
                return;
            }
            match registered {
                Ok(connected) => {
                    self.hub.set(connected);
                    self.message.set(describe(&untrack(|| self.clients())));
                }
                Err(error) => {
                    self.hub.set(HubConnection::Disconnected);
                    self.message.set(format!("Not connected: {error}."));
                }
            }
        });
    }

    /// Resets the page's side of the connection. Returns the key, with which the caller unregisters at the hub.
    fn reset(self) -> Option<String> {
        let key = self.key();
        self.connection_number.update(|number| *number += 1);
        self.hub.set(HubConnection::Disconnected);
        self.follows_selection.set(false);
        self.message.set(String::new());
        key
    }

    fn disconnect(self) {
        if let Some(key) = self.reset() {
            spawn_local(async move { drop(self.call("unregister", &[Value::text(key)]).await) });
        }
    }

    /// Runs a task and shows its result or its error.
    fn spawn(self, task: impl Future<Output = Result<String, String>> + 'static) {
        spawn_local(async move {
            match task.await {
                Ok(text) => self.message.set(text),
                Err(error) => self.message.set(format!("The action failed: {error}.")),
            }
        });
    }

    /// Sends a star's sky position to the other programs.
    fn send_position(self, row: Row) {
        self.spawn(async move {
            let (id, position) = row.summary.with_untracked(|s| (s.meta.id.clone(), s.meta.ra_deg.zip(s.meta.dec_deg)));
            let (ra_deg, dec_deg) = position.ok_or(format!("the file of {id} has no sky position"))?;
            let key = self.key().ok_or("the page is not connected to the hub")?;
            let notified = self.call("notifyAll", &[Value::text(key), samp::point_at(ra_deg, dec_deg)]).await?;
            let n = if let Value::List(ids) = notified { ids.len() } else { 0 };
            Ok(format!("Sent the position of {id} to {}.", format::count_with_noun(n, "program", "programs")))
        });
    }

    /// Sends the table to every program that can open it.
    fn send_table(self, rows: Vec<Row>) {
        self.spawn(async move {
            let records: Vec<Record> = rows.iter().map(Row::record).collect();
            let table = share::write(Format::VoTable, &records, &Label::ALL);
            let message = samp::load_table(&table, "results")?;
            let key = self.key().ok_or("the page is not connected to the hub")?;
            let clients = untrack(|| self.clients());
            let mut results = Vec::new();
            for client in clients.iter().filter(|client| client.can_open()) {
                self.message.set(format!("Waiting for {}…", client.name));
                let parameters =
                    [Value::text(key.clone()), Value::text(client.id.clone()), message.clone(), Value::text(TIMEOUT_S)];
                let reply = self.call("callAndWait", &parameters).await;
                results.push(
                    match reply.as_ref().map(|reply| (reply, reply.get("samp.status").and_then(Value::as_text))) {
                        Ok((_, Some("samp.ok"))) => format!("{} opened the table", client.name),
                        Ok((reply, _)) => {
                            let error =
                                reply.get("samp.error").and_then(|e| e.get("samp.errortxt")).and_then(Value::as_text);
                            format!("{} did not open it: {}", client.name, error.unwrap_or("it gave no reason"))
                        }
                        Err(error) => format!("{} did not open it: {error}", client.name),
                    },
                );
            }
            if results.is_empty() {
                return Err(
                    "no connected program can open a table from a page; save it as VOTable and open the file".into()
                );
            }
            Ok(format!("{}.", results.join("; ")))
        });
    }
}

/// The connected programs, as text.
fn describe(clients: &[SampClient]) -> String {
    let names: Vec<&str> = clients.iter().map(|c| c.name.as_str()).collect();
    if names.is_empty() {
        return "Connected. There is no other program yet: start TOPCAT, Aladin or DS9, then press Refresh.".into();
    }
    let fetchers: Vec<&str> =
        clients.iter().filter(|c| c.accepts_tables && !c.can_open()).map(|c| c.name.as_str()).collect();
    let limit = if fetchers.is_empty() {
        String::new()
    } else {
        format!(
            " {} cannot open a table from a page: save the VOTable and open the file there.",
            fetchers.join(" and ")
        )
    };
    format!("Connected to {}.{limit}", names.join(", "))
}

/// Sends the position of each newly selected star while the user has ticked this option.
pub(super) fn send_selected_positions(samp: Samp, rows: Rows) {
    Effect::new(move |_| {
        let row = rows.selected();
        if samp.follows_selection.get()
            && let Some(row) = row.filter(|row| row.summary.with_untracked(|s| s.meta.ra_deg.is_some()))
        {
            samp.send_position(row);
        }
    });
}

/// Unregisters at the hub when the user leaves the page.
pub(super) fn unregister_on_leave(samp: Samp) {
    let listener = window_event_listener_untyped("pagehide", move |_| {
        let Some(key) = samp.reset() else { return };
        let body = samp::call("samp.webhub.unregister", &[Value::text(key)]);
        // A page that closes can receive no reply.
        let _ = window().navigator().send_beacon_with_opt_str(HUB_URL, Some(&body));
    });
    on_cleanup(move || listener.remove());
}

/// The button Connect, and the actions of a connected page.
#[component]
pub(super) fn OtherPrograms() -> impl IntoView {
    let (samp, rows, table_view) = (expect_context::<Samp>(), expect_context::<Rows>(), expect_context::<TableView>());
    let refresh = move |_| {
        let Some(key) = samp.key() else { return };
        samp.spawn(async move {
            let clients = samp.list_clients(&key).await?;
            let text = describe(&clients);
            samp.hub.set(HubConnection::Connected { key, clients });
            Ok(text)
        });
    };
    let send_position = move |_| {
        if let Some(row) = untrack(|| rows.selected()) {
            samp.send_position(row);
        }
    };
    let can_send_position =
        move || samp.clients().iter().any(|c| c.accepts_positions) && rows.selected.with(Option::is_some);
    let can_send_table = move || samp.clients().iter().any(SampClient::can_open);
    let buttons = move || {
        match samp.hub.get() {
        HubConnection::Disconnected => {
            view! { <button data-testid="samp-connect" on:click=move |_| samp.connect()>"Connect"</button> }.into_any()
        }
        HubConnection::Connecting => {
            view! { <button data-testid="samp-stop" on:click=move |_| samp.disconnect()>"Stop"</button> }.into_any()
        }
        HubConnection::Connected { .. } => view! {
            <button data-testid="samp-point" disabled=move || !can_send_position() on:click=send_position>"Show the selected star"</button>
            <label>
                <input type="checkbox" data-testid="samp-follow" prop:checked=move || samp.follows_selection.get()
                    on:change=move |event| samp.follows_selection.set(event_target_checked(&event))/>
                " Show each newly selected star"
            </label>
            <button data-testid="samp-table" disabled=move || !can_send_table() on:click=move |_| samp.send_table(untrack(|| table_view.export_rows()))>
                "Send the table"
            </button>
            <button on:click=refresh>"Refresh"</button>
            <button data-testid="samp-disconnect" on:click=move |_| samp.disconnect()>"Disconnect"</button>
        }
        .into_any(),
    }
    };
    view! {
        <div class="choices" role="group" aria-label="SAMP" data-testid="samp">
            <h3>"SAMP"</h3>
            {buttons}
            <p>
                "Connects to the SAMP hub on this computer, at " {HUB_URL} ". Then you can show the position of a star in TOPCAT, Aladin "
                "or DS9, and send the table to programs that accept it. Nothing is sent before you press Connect."
            </p>
            <p class="status-message" role="status" data-testid="samp-status">{move || samp.message.get()}</p>
        </div>
    }
}
