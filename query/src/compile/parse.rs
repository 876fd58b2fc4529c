//! SQL text → DataFusion's logical plan, bound to the catalogue, with types resolved and the rules below applied.
//!
//! The rule list is our own and fixed: it takes out keys that are written twice, decorrelates sub-queries, finds join keys and pushes filters to the tables they belong
//! to, and leaves out what only speeds up execution (each owner's engine does that for its own part) or hides the shape the
//! compiler looks for (common sub-expressions, DISTINCT as GROUP BY, projections pushed into scans).

use std::{collections::HashMap, ops::ControlFlow, sync::Arc};

use datafusion::{
    arrow::datatypes::{DataType, SchemaRef},
    common::{
        DataFusionError, TableReference,
        config::ConfigOptions,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    execution::SessionStateDefaults,
    logical_expr::{
        AggregateUDF, Expr, FetchType, HigherOrderUDF, Limit, LogicalPlan, ScalarUDF, SkipType, TableSource, Volatility, WindowUDF,
        planner::{ContextProvider, ExprPlanner},
    },
    optimizer::{
        Optimizer, OptimizerContext, analyzer::Analyzer, decorrelate_predicate_subquery::DecorrelatePredicateSubquery,
        eliminate_cross_join::EliminateCrossJoin, eliminate_outer_join::EliminateOuterJoin,
        extract_equijoin_predicate::ExtractEquijoinPredicate, push_down_filter::PushDownFilter,
        rewrite_set_comparison::RewriteSetComparison, scalar_subquery_to_join::ScalarSubqueryToJoin,
        simplify_expressions::SimplifyExpressions,
    },
    sql::{
        planner::{ParserOptions, SqlToRel},
        sqlparser::{
            ast::{self, Query, SetExpr, Statement, TableFactor, Visit, VisitMut, Visitor, VisitorMut},
            dialect::GenericDialect,
            parser::{Parser, ParserError},
            tokenizer::{Token, Tokenizer},
        },
    },
};

use super::{SqlError, bound, implied, locate::Text, rows::ratio::no_coercion_written, spans, subquery, temporal};
use crate::{
    catalog::Catalog,
    percentile::percentile_disc,
    rules::{GroupKeysOnce, Rule},
};

/// Longer texts and longer token lists are refused before anything recursive looks at them.
const MOST_BYTES: usize = 64 << 10;
const MOST_TOKENS: usize = 6_000;
/// Nesting of brackets and sub-queries the parser follows.
const MOST_NESTED: usize = 48;

/// Parses, binds and simplifies. The text's token positions come back for later messages.
pub(super) fn parse(sql: &str, catalog: &Catalog) -> Result<(LogicalPlan, Text), SqlError> {
    if sql.len() > MOST_BYTES {
        return Err(SqlError::sql(format!("the query is {} bytes long; at most {MOST_BYTES} are read", sql.len()), "split the question"));
    }
    let tokens = Tokenizer::new(&GenericDialect, sql)
        .tokenize_with_location()
        .map_err(|e| SqlError::sql(e.message, "correct the SQL").at(Some((e.location.line, e.location.column))))?;
    let text = Text::new(&tokens);
    if text.len() > MOST_TOKENS {
        return Err(SqlError::sql(
            format!("the query has {} words and signs; at most {MOST_TOKENS} are read", text.len()),
            "split the question",
        ));
    }
    let statement = one_select(tokens, &text)?;
    let provider = Provider::new(catalog);
    let options = ParserOptions {
        parse_float_as_decimal: true,
        collect_spans: true,
        map_string_types_to_utf8view: false,
        ..ParserOptions::default()
    };
    let bind = |statement| SqlToRel::new_with_options(&provider, options).sql_statement_to_plan(statement);
    let plan = match bind(statement.clone()) {
        // SUM(CAST(x AS DOUBLE)) and SUM(x) have one name in the binder, which leaves casts out of names
        Err(e) if e.to_string().contains("duplicate unqualified field name") => {
            let mut apart = statement;
            let _ = VisitMut::visit(&mut apart, &mut NamedCasts);
            bind(apart).map_err(|_| text.explain(&e))
        }
        other => other.map_err(|e| text.explain(&e)),
    }?;
    bound::check(&plan, &text)?;
    deterministic(&plan, &text)?;
    let plan = implied::only_asked(plan, &text)?;
    let plan = subquery::above_joins(plan, &text)?;
    let plan = subquery::three_valued(plan, &text)?;
    subquery::no_lost_nulls(&plan, &text)?;
    temporal::known_parts(&plan, &text)?;
    no_coercion_written(&plan, &text)?;
    let plan = Analyzer::new().execute_and_check(plan, &provider.options, |_, _| {}).map_err(|e| text.explain(&e))?;
    let context = OptimizerContext::new_with_config_options(Arc::new(provider.options.clone()))
        .without_query_execution_start_time()
        .with_skip_failing_rules(false);
    let plan = Optimizer::with_rules(rules()).optimize(plan, &context, |_, _| {}).map_err(|e| text.explain(&e))?;
    subquery::all_joined(&plan, &text)?;
    whole_numbers(&plan, &text)?;
    let plan = spans::exact(plan, &text)?;
    // rewriting may make it larger
    bound::check(&plan, &text)?;
    Ok((plan, text))
}

fn rules() -> Vec<Rule> {
    vec![
        // the binder leaves GROUP BY a, a with two keys and one column
        Arc::new(GroupKeysOnce::default()),
        Arc::new(RewriteSetComparison::new()),
        Arc::new(SimplifyExpressions::new()),
        Arc::new(DecorrelatePredicateSubquery::new()),
        Arc::new(ScalarSubqueryToJoin::new()),
        Arc::new(ExtractEquijoinPredicate::new()),
        Arc::new(EliminateCrossJoin::new()),
        Arc::new(EliminateOuterJoin::new()),
        Arc::new(PushDownFilter::new()),
    ]
}

fn one_select(tokens: Vec<datafusion::sql::sqlparser::tokenizer::TokenWithSpan>, text: &Text) -> Result<Statement, SqlError> {
    let mut parser = Parser::new(&GenericDialect).with_recursion_limit(MOST_NESTED).with_tokens_with_locations(tokens);
    let mut statements = parser.parse_statements().map_err(|e| syntax(&e, text))?;
    let only = "ask one SELECT (WITH … SELECT …)";
    match (statements.len(), statements.pop()) {
        (1, Some(Statement::Query(query))) => {
            let ignored = match query.visit(&mut Ignored) {
                ControlFlow::Break(clause) => Some(clause),
                ControlFlow::Continue(()) => None,
            };
            if let Some((construct, keyword, fix)) = unsupported_clause(&query).or(ignored) {
                return Err(SqlError::unsupported(format!("{construct} is not supported"), fix).at(text.keyword(keyword)));
            }
            Ok(Statement::Query(query))
        }
        (1, Some(_)) => Err(SqlError::sql("only a SELECT can be asked", only).at(text.first())),
        (0, _) | (_, None) => Err(SqlError::sql("the query is empty", only)),
        _ => Err(SqlError::sql("more than one statement", only).at(text.after(&Token::SemiColon))),
    }
}

/// What is not supported, the keyword that shows where, and what to write instead.
type Clause = (&'static str, &'static str, &'static str);

/// Finds, at any depth, what the binder would pass over without a word: the answer would be to another question.
struct Ignored;

impl Visitor for Ignored {
    type Break = Clause;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Clause> {
        let clause = if !query.locks.is_empty() {
            Some(("FOR UPDATE / FOR SHARE", "FOR", "leave it out: a question changes nothing"))
        } else if query.for_clause.is_some() {
            Some(("FOR XML / JSON / BROWSE", "FOR", "use `--format json`"))
        } else if query.settings.is_some() {
            Some(("SETTINGS", "SETTINGS", "leave it out"))
        } else if query.format_clause.is_some() {
            Some(("FORMAT", "FORMAT", "use `--format`"))
        } else if query.fetch.is_some() {
            Some(("FETCH", "FETCH", "write LIMIT"))
        } else if let Some(ast::LimitClause::LimitOffset { limit: Some(ast::Expr::UnaryOp { .. }), .. }) = &query.limit_clause {
            Some(("LIMIT of what is no number of rows", "LIMIT", "write how many rows there may be"))
        } else {
            None
        };
        clause.map_or(ControlFlow::Continue(()), ControlFlow::Break)
    }

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<Clause> {
        let clause = match expr {
            ast::Expr::Collate { .. } => ("COLLATE", "COLLATE", "leave it out: texts are ordered by their bytes"),
            ast::Expr::SimilarTo { .. } => ("SIMILAR TO", "SIMILAR", "write LIKE, or REGEXP_LIKE(text, pattern)"),
            _ => return ControlFlow::Continue(()),
        };
        ControlFlow::Break(clause)
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<Clause> {
        let whole = "leave it out: a question is about whole tables";
        let clause = match table {
            TableFactor::Table { sample: Some(_), .. } | TableFactor::Derived { sample: Some(_), .. } => {
                Some(("TABLESAMPLE", "TABLESAMPLE", whole))
            }
            TableFactor::Table { partitions, .. } if !partitions.is_empty() => Some(("PARTITION of a table", "PARTITION", whole)),
            TableFactor::Table { version: Some(_), .. } => Some(("a version of a table", "FOR", "the loaded version is the one asked")),
            TableFactor::Table { with_hints, index_hints, .. } if !(with_hints.is_empty() && index_hints.is_empty()) => {
                Some(("a table hint", "WITH", "leave it out"))
            }
            TableFactor::Table { with_ordinality: true, .. } => Some(("WITH ORDINALITY", "ORDINALITY", "tables have no order")),
            TableFactor::Table { json_path: Some(_), .. } => Some(("a path into a table", "FROM", "name columns of the catalogue")),
            _ => None,
        };
        clause.map_or(ControlFlow::Continue(()), ControlFlow::Break)
    }
}

/// Gives every CAST a name of its own: COALESCE of one argument is that argument.
struct NamedCasts;

impl VisitorMut for NamedCasts {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<()> {
        if matches!(expr, ast::Expr::Cast { .. }) {
            let cast = std::mem::replace(expr, ast::Expr::value(ast::Value::Null));
            let argument = ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(cast));
            *expr = ast::Expr::Function(ast::Function {
                name: ast::ObjectName::from(vec![ast::Ident::new("coalesce")]),
                uses_odbc_syntax: false,
                parameters: ast::FunctionArguments::None,
                args: ast::FunctionArguments::List(ast::FunctionArgumentList {
                    duplicate_treatment: None,
                    args: vec![argument],
                    clauses: Vec::new(),
                }),
                filter: None,
                null_treatment: None,
                over: None,
                within_group: Vec::new(),
            });
        }
        ControlFlow::Continue(())
    }
}

/// Clauses that have no place in a question.
fn unsupported_clause(query: &Query) -> Option<Clause> {
    if query.with.as_ref().is_some_and(|w| w.recursive) {
        return Some(("WITH RECURSIVE", "RECURSIVE", "write the steps out as ordinary CTEs"));
    }
    match query.body.as_ref() {
        SetExpr::Select(select) if select.into.is_some() => Some(("SELECT INTO", "INTO", "leave INTO out: the answer is returned")),
        SetExpr::Values(_) => Some(("VALUES as a question", "VALUES", "select from the tables of the catalogue")),
        SetExpr::Query(inner) => unsupported_clause(inner),
        _ => None,
    }
}

fn syntax(error: &ParserError, text: &Text) -> SqlError {
    let (message, at) = match error {
        ParserError::RecursionLimitExceeded => (format!("brackets or sub-queries are nested deeper than {MOST_NESTED}"), None),
        ParserError::TokenizerError(m) | ParserError::ParserError(m) => match m.rsplit_once(" at Line: ") {
            Some((message, place)) => {
                let numbers: Vec<u64> = place.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
                (message.to_owned(), (numbers.len() == 2).then(|| (numbers[0], numbers[1])))
            }
            // the parser gives no place when it met the end of the text
            None => (m.clone(), text.last()),
        },
    };
    let message = message.trim_start_matches("sql parser error: ").to_owned();
    SqlError::sql(message, "correct the SQL").at(at)
}

/// Parties compile and run on their own machines at their own time: what would differ there has no place in a question.
fn deterministic(plan: &LogicalPlan, text: &Text) -> Result<(), SqlError> {
    let mut found = None;
    let walk = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|e| {
            e.apply(|e| {
                let name = match e {
                    Expr::ScalarFunction(f) if f.func.signature().volatility != Volatility::Immutable => f.name().to_owned(),
                    Expr::Placeholder(p) => p.id.clone(),
                    Expr::ScalarVariable(_, names) => names.join("."),
                    _ => return Ok(TreeNodeRecursion::Continue),
                };
                found.get_or_insert((name, matches!(e, Expr::ScalarFunction(_))));
                Ok(TreeNodeRecursion::Stop)
            })
        })
    });
    walk.map_err(|e| text.explain(&e))?;
    match found {
        None => Ok(()),
        Some((name, true)) => Err(SqlError::unsupported(
            format!("{name}() has another value at every node and at every time"),
            "write the value itself, a date for instance, into the query",
        )
        .at(text.word(&name).or_else(|| text.word(&name.replace("now", "current_timestamp"))))),
        Some((name, false)) => {
            Err(SqlError::unsupported(format!("the parameter {name} has no value"), "write the value itself into the query")
                .at(text.word(&name)))
        }
    }
}

/// How many rows there may be is written in the question: what is computed for it would be read by nobody who asks what the question does.
fn whole_numbers(plan: &LogicalPlan, text: &Text) -> Result<(), SqlError> {
    let written = |limit: &Limit| {
        let known = limit.get_skip_type().map(|skip| matches!(skip, SkipType::Literal(_)));
        Ok::<_, DataFusionError>(known? && matches!(limit.get_fetch_type()?, FetchType::Literal(_)))
    };
    let mut all = true;
    let walk = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Limit(limit) = node {
            all &= written(limit)?;
        }
        Ok(if all { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    walk.map_err(|e| text.explain(&e))?;
    if all {
        return Ok(());
    }
    let place = text.keyword("LIMIT").or_else(|| text.keyword("OFFSET"));
    Err(SqlError::unsupported("LIMIT and OFFSET of what is computed are not supported", "write a number").at(place))
}

/// The catalogue as DataFusion's binder asks for it: tables without data, the functions that come with DataFusion, and one of ours.
struct Provider<'a> {
    catalog: &'a Catalog,
    options: ConfigOptions,
    scalar: HashMap<String, Arc<ScalarUDF>>,
    aggregate: HashMap<String, Arc<AggregateUDF>>,
    window: HashMap<String, Arc<WindowUDF>>,
    planners: Vec<Arc<dyn ExprPlanner>>,
}

impl<'a> Provider<'a> {
    fn new(catalog: &'a Catalog) -> Self {
        let mut options = ConfigOptions::new();
        options.execution.target_partitions = 1;
        options.execution.time_zone = None;
        let mut scalar = HashMap::new();
        for f in SessionStateDefaults::default_scalar_functions() {
            f.aliases().iter().chain([&f.name().to_owned()]).for_each(|n| drop(scalar.insert(n.clone(), f.clone())));
        }
        let mut aggregate = HashMap::new();
        for f in SessionStateDefaults::default_aggregate_functions().into_iter().chain([percentile_disc()]) {
            f.aliases().iter().chain([&f.name().to_owned()]).for_each(|n| drop(aggregate.insert(n.clone(), f.clone())));
        }
        let mut window = HashMap::new();
        for f in SessionStateDefaults::default_window_functions() {
            f.aliases().iter().chain([&f.name().to_owned()]).for_each(|n| drop(window.insert(n.clone(), f.clone())));
        }
        Provider { catalog, options, scalar, aggregate, window, planners: SessionStateDefaults::default_expr_planners() }
    }
}

/// A table of the catalogue: a schema, no data.
#[derive(Debug)]
pub(super) struct Declared(pub(super) SchemaRef);

impl TableSource for Declared {
    fn schema(&self) -> SchemaRef {
        self.0.clone()
    }
}

impl ContextProvider for Provider<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>, DataFusionError> {
        match self.catalog.table(&name.to_string()) {
            Some(table) => Ok(Arc::new(Declared(table.arrow_schema()))),
            None => {
                let known: Vec<_> = self.catalog.tables().iter().map(|t| t.name.as_str()).collect();
                Err(DataFusionError::Plan(format!("there is no table {name}; the catalogue has {}", known.join(", "))))
            }
        }
    }

    fn get_table_function_source(&self, name: &str, _args: Vec<Expr>) -> Result<Arc<dyn TableSource>, DataFusionError> {
        Err(DataFusionError::Plan(format!("the table function '{name}' is not supported; select from the tables of the catalogue")))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.scalar.get(name).cloned()
    }

    fn get_higher_order_meta(&self, _name: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.aggregate.get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.window.get(name).cloned()
    }

    fn get_variable_type(&self, _variable_names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        sorted(self.scalar.keys())
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        sorted(self.aggregate.keys())
    }

    fn udwf_names(&self) -> Vec<String> {
        sorted(self.window.keys())
    }
}

fn sorted<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut names: Vec<_> = names.cloned().collect();
    names.sort();
    names
}
