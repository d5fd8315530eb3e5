//! The price book: what a call costs, what it would cost at list price, and what the account pays on top.
//!
//! Pure: no I/O, no clock, no configuration; knows tokens and money, not wire formats. Facts (who charges what) are
//! data in `config/prices/`; the words of the numbers are defined in docs/prices.md.
//!
//! Where to start: [`PriceBook`] finds the [`Quote`] of a provider's model, once per target; [`Quote::cost`] prices a
//! call's [`Usage`](crate::chat::Usage); [`Terms::assess`] makes list, billed and effective cost of it. All amounts
//! are exact ([`Money`](crate::chat::Money)); what has no price is [`Unpriced`], never zero.

mod assess;
mod book;
mod card;
mod cost;
mod day;
mod fees;
mod names;
mod pattern;
mod providers;
mod rates;
mod section;
mod seller;
mod spending;
mod text;

pub use assess::{Assessment, Basis, Billed, CostSource, Sale, Terms, markup};
pub use book::{Listed, Offer, Overlay, PriceBook, Quote};
pub use card::{Card, Line};
pub use cost::{CLASSES, Cost, Unpriced};
pub use day::{At, Day, Hours};
pub use fees::{Account, Fee, Fees, PayBy};
pub use names::normal_forms;
pub use pattern::Pattern;
pub use providers::Kind;
pub use rates::{Class, Percent, Rate, RateError, Rates, published};
pub use seller::Seller;
pub use spending::{Refused, Spending};
pub use text::TextError;
