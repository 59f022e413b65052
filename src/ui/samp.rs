//! Other programs on this computer, by SAMP: nothing is asked or sent before the user presses Connect.

use gloo::net::http::Request;
use leptos::{prelude::*, task::spawn_local};

use super::format;
use super::state::{Row, State};
use crate::result::Label;
use crate::share::samp::{self, HUB_URL, LOAD_TABLE, POINT_AT, Value};
use crate::share::{self, Format, Record};

/// How long a program may take to open a table, s.
const PATIENCE_S: &str = "30";

/// Programs that fetch a table from an address and know none of the kind that carries the table itself.
const FETCH_ONLY: [&str; 2] = ["topcat", "aladin"];

/// A program that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listener {
    id: String,
    name: String,
    takes_places: bool,
    takes_tables: bool,
}

impl Listener {
    /// Whether it can be given a table that a page holds.
    fn can_open(&self) -> bool {
        let name = self.name.to_lowercase();
        self.takes_tables && !FETCH_ONLY.iter().any(|program| name.starts_with(program))
    }
}

/// How the page stands with the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Nothing was asked for.
    Apart,
    /// The hub asks the user whether this page may.
    Asking,
    /// With the key to all further calls.
    Joined { key: String, listeners: Vec<Listener> },
}

/// Signals of the connection; a handle, copied freely.
#[derive(Clone, Copy)]
pub struct Samp {
    phase: RwSignal<Phase>,
    /// Bytes that went to the hub on this computer.
    sent_bytes: RwSignal<u64>,
    follows: RwSignal<bool>,
    said: RwSignal<String>,
    /// Counts connections: what an earlier one still waits for is nobody's.
    visit: RwSignal<u32>,
}

impl Samp {
    /// Not connected.
    pub fn new() -> Self {
        Self {
            phase: RwSignal::new(Phase::Apart),
            sent_bytes: RwSignal::new(0),
            follows: RwSignal::new(false),
            said: RwSignal::new(String::new()),
            visit: RwSignal::new(0),
        }
    }

    /// Bytes that went to the hub on this computer.
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes.get()
    }

    fn key(&self) -> Option<String> {
        self.phase.with_untracked(|phase| match phase {
            Phase::Joined { key, .. } => Some(key.clone()),
            _ => None,
        })
    }

    fn listeners(&self) -> Vec<Listener> {
        self.phase.with(|phase| match phase {
            Phase::Joined { listeners, .. } => listeners.clone(),
            _ => Vec::new(),
        })
    }

    /// One call of the hub.
    async fn call(&self, method: &str, parameters: &[Value]) -> Result<Value, String> {
        let body = samp::call(&format!("samp.webhub.{method}"), parameters);
        self.sent_bytes.update(|bytes| *bytes += body.len() as u64);
        let request = Request::post(HUB_URL).header("Content-Type", "text/xml").body(body);
        let silent = "no SAMP hub answers on this computer; TOPCAT and Aladin each start one";
        let response = request.map_err(|e| e.to_string())?.send().await.map_err(|_| silent.to_owned())?;
        if !response.ok() {
            return Err(format!("the hub answers {}", response.status()));
        }
        samp::answer(&response.text().await.map_err(|e| e.to_string())?)
    }

    /// Asks the hub in, and who else is there.
    async fn join(&self) -> Result<Phase, String> {
        let registered = self.call("register", &[Value::map([("samp.name", Value::text("Specola"))])]).await?;
        let key = registered.get("samp.private-key").and_then(Value::as_text).ok_or("the hub gave no key")?.to_owned();
        let about = [
            ("samp.name", Value::text("Specola")),
            ("samp.description.text", Value::text("Stellar parameters from spectra, in a browser tab")),
        ];
        self.call("declareMetadata", &[Value::text(key.clone()), Value::map(about)]).await?;
        let listeners = self.find(&key).await?;
        Ok(Phase::Joined { key, listeners })
    }

    /// The programs that take places or tables.
    async fn find(&self, key: &str) -> Result<Vec<Listener>, String> {
        let who = async |mtype: &str| self.call("getSubscribedClients", &[Value::text(key), Value::text(mtype)]).await;
        let (places, tables) = (who(POINT_AT).await?, who(LOAD_TABLE).await?);
        let mut ids = places.names();
        ids.extend(tables.names().into_iter().filter(|id| places.get(id).is_none()));
        let mut listeners = Vec::new();
        for id in ids {
            let about = self.call("getMetadata", &[Value::text(key), Value::text(id)]).await?;
            listeners.push(Listener {
                id: id.to_owned(),
                name: about.get("samp.name").and_then(Value::as_text).unwrap_or(id).to_owned(),
                takes_places: places.get(id).is_some(),
                takes_tables: tables.get(id).is_some(),
            });
        }
        Ok(listeners)
    }

    fn connect(self) {
        let visit = self.visit.get_untracked() + 1;
        self.visit.set(visit);
        self.phase.set(Phase::Asking);
        self.said.set("Asking the hub; it may ask you whether this page may connect.".into());
        spawn_local(async move {
            let joined = self.join().await;
            if self.visit.get_untracked() != visit {
                // Given up meanwhile: the hub need not keep the place.
                if let Ok(Phase::Joined { key, .. }) = joined {
                    let _ = self.call("unregister", &[Value::text(key)]).await;
                }
                return;
            }
            match joined {
                Ok(phase) => {
                    self.phase.set(phase);
                    self.said.set(listening(&untrack(|| self.listeners())));
                }
                Err(why) => {
                    self.phase.set(Phase::Apart);
                    self.said.set(format!("Not connected: {why}."));
                }
            }
        });
    }

    /// Stands apart from the hub, which is still to be told: the key to it, if there was one.
    fn part(self) -> Option<String> {
        let key = self.key();
        self.visit.update(|visit| *visit += 1);
        self.phase.set(Phase::Apart);
        self.follows.set(false);
        self.said.set(String::new());
        key
    }

    fn disconnect(self) {
        if let Some(key) = self.part() {
            spawn_local(async move { drop(self.call("unregister", &[Value::text(key)]).await) });
        }
    }

    /// Says what came of something that is sent.
    fn report(self, work: impl Future<Output = Result<String, String>> + 'static) {
        spawn_local(async move {
            match work.await {
                Ok(text) => self.said.set(text),
                Err(why) => self.said.set(format!("Nothing was sent: {why}.")),
            }
        });
    }

    /// Shows a star's place in the other programs.
    fn point(self, row: Row) {
        self.report(async move {
            let (id, place) = row.summary.with_untracked(|s| (s.meta.id.clone(), s.meta.ra_deg.zip(s.meta.dec_deg)));
            let (ra_deg, dec_deg) = place.ok_or(format!("the file of {id} has no position"))?;
            let key = self.key().ok_or("the hub is gone")?;
            let told = self.call("notifyAll", &[Value::text(key), samp::point_at(ra_deg, dec_deg)]).await?;
            let n = if let Value::List(ids) = told { ids.len() } else { 0 };
            Ok(format!("The place of {id} went to {}.", format::count(n, "program", "programs")))
        });
    }

    /// Gives the table to every program that can open it.
    fn send_table(self, rows: Vec<Row>) {
        self.report(async move {
            let records: Vec<Record> = rows.iter().map(Row::record).collect();
            let table = share::write(Format::VoTable, &records, &Label::ALL);
            let message = samp::load_table(&table, "results")?;
            let key = self.key().ok_or("the hub is gone")?;
            let listeners = untrack(|| self.listeners());
            let mut said = Vec::new();
            for listener in listeners.iter().filter(|l| l.can_open()) {
                self.said.set(format!("Waiting for {}…", listener.name));
                let parameters = [
                    Value::text(key.clone()),
                    Value::text(listener.id.clone()),
                    message.clone(),
                    Value::text(PATIENCE_S),
                ];
                let answer = self.call("callAndWait", &parameters).await;
                said.push(match answer.as_ref().map(|a| (a, a.get("samp.status").and_then(Value::as_text))) {
                    Ok((_, Some("samp.ok"))) => format!("{} opened the table", listener.name),
                    Ok((answer, _)) => {
                        let error =
                            answer.get("samp.error").and_then(|e| e.get("samp.errortxt")).and_then(Value::as_text);
                        format!("{} did not: {}", listener.name, error.unwrap_or("it does not say why"))
                    }
                    Err(why) => format!("{} did not: {why}", listener.name),
                });
            }
            if said.is_empty() {
                return Err(
                    "no program here opens a table that a page holds; save it as VOTable and open the file".into()
                );
            }
            Ok(format!("{}.", said.join("; ")))
        });
    }
}

/// Who listens, in words.
fn listening(listeners: &[Listener]) -> String {
    let names: Vec<&str> = listeners.iter().map(|l| l.name.as_str()).collect();
    if names.is_empty() {
        return "Connected; no other program listens yet. Start TOPCAT, Aladin or DS9 and look again.".into();
    }
    let fetchers: Vec<&str> =
        listeners.iter().filter(|l| l.takes_tables && !l.can_open()).map(|l| l.name.as_str()).collect();
    let limit = if fetchers.is_empty() {
        String::new()
    } else {
        format!(
            " {} can only open tables that lie at an address, and a page has none: save the VOTable and open the file there.",
            fetchers.join(" and ")
        )
    };
    format!("Connected; {} listen{}.{limit}", names.join(", "), if names.len() == 1 { "s" } else { "" })
}

/// While it is asked for, the other programs look where the selected star is.
pub fn follow(state: State) {
    Effect::new(move |_| {
        let samp = state.samp;
        let row = state.selected_row();
        if samp.follows.get()
            && let Some(row) = row.filter(|row| row.summary.with_untracked(|s| s.meta.ra_deg.is_some()))
        {
            samp.point(row);
        }
    });
}

/// Signs off when the page is left, so that the hub keeps no program that is gone.
pub fn sign_off(state: State) {
    let listener = window_event_listener_untyped("pagehide", move |_| {
        let Some(key) = state.samp.part() else { return };
        let body = samp::call("samp.webhub.unregister", &[Value::text(key)]);
        // Who leaves hears no answer.
        let _ = window().navigator().send_beacon_with_opt_str(HUB_URL, Some(&body));
    });
    on_cleanup(move || listener.remove());
}

/// Connect, and what can then be sent.
#[component]
pub fn OtherPrograms() -> impl IntoView {
    let state = expect_context::<State>();
    let samp = state.samp;
    let again = move |_| {
        let Some(key) = samp.key() else { return };
        samp.report(async move {
            let found = samp.find(&key).await?;
            let said = listening(&found);
            samp.phase.set(Phase::Joined { key, listeners: found });
            Ok(said)
        });
    };
    let point = move |_| {
        if let Some(row) = untrack(|| state.selected_row()) {
            samp.point(row);
        }
    };
    let can_point = move || samp.listeners().iter().any(|l| l.takes_places) && state.selected.with(Option::is_some);
    let can_send = move || samp.listeners().iter().any(Listener::can_open);
    let buttons = move || {
        match samp.phase.get() {
        Phase::Apart => {
            view! { <button data-testid="samp-connect" on:click=move |_| samp.connect()>"Connect"</button> }.into_any()
        }
        Phase::Asking => {
            view! { <button data-testid="samp-stop" on:click=move |_| samp.disconnect()>"Stop"</button> }.into_any()
        }
        Phase::Joined { .. } => view! {
            <button data-testid="samp-point" disabled=move || !can_point() on:click=point>"Show the selected star"</button>
            <label>
                <input type="checkbox" data-testid="samp-follow" prop:checked=move || samp.follows.get()
                    on:change=move |event| samp.follows.set(event_target_checked(&event))/>
                " each that I select"
            </label>
            <button data-testid="samp-table" disabled=move || !can_send() on:click=move |_| samp.send_table(untrack(|| state.taken()))>
                "Send the table"
            </button>
            <button on:click=again>"Look again"</button>
            <button data-testid="samp-disconnect" on:click=move |_| samp.disconnect()>"Disconnect"</button>
        }
        .into_any(),
    }
    };
    view! {
        <div class="choices" role="group" aria-label="Other programs" data-testid="samp">
            <h3>"Other programs"</h3>
            {buttons}
            <p>
                "TOPCAT, Aladin, DS9 on this computer, by SAMP. Nothing is asked of or sent to their hub, at "
                {HUB_URL} ", before you press Connect."
            </p>
            <p class="said" role="status" data-testid="samp-said">{move || samp.said.get()}</p>
        </div>
    }
}
