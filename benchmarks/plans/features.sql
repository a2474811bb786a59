-- What features/ builds, written by hand for DuckDB. `events` is a view of the Parquet file, $moment the moment.
-- The customer-item aggregate is made once and feeds both the matrix and the affinity columns.
CREATE TEMP TABLE pairs AS
SELECT customer, item,
       sum(CASE name WHEN 'Order Completed' THEN 1 WHEN 'Order Refunded' THEN -1 ELSE 0 END) AS bought,
       count(*) FILTER (name = 'Product Viewed') AS viewed,
       sum(CASE name WHEN 'Product Viewed' THEN 0.1::DOUBLE WHEN 'Product Added' THEN 0.3::DOUBLE
                     WHEN 'Order Completed' THEN 1.0::DOUBLE WHEN 'Order Refunded' THEN -1.0::DOUBLE END
           * exp(-ln(2) / 180.0 * (epoch($moment::TIMESTAMP) - floor(epoch(time))) / 86400.0)) AS weight,
       min(time) AS first, max(time) AS last
FROM events
WHERE time < $moment AND (NOT live OR received_at < $moment) AND customer IS NOT NULL AND item IS NOT NULL AND NOT machine
  AND name IN ('Product Viewed', 'Product Added', 'Order Completed', 'Order Refunded')
GROUP BY customer, item;

CREATE TEMP TABLE features AS
WITH past AS (
    SELECT * FROM events
    WHERE time < $moment AND (NOT live OR received_at < $moment) AND customer IS NOT NULL AND NOT machine
), orders AS (
    SELECT customer, order_id, CASE WHEN order_id IS NULL THEN time END AS at, name = 'Order Refunded' AS refund, max(time) AS time,
           sum(CASE WHEN name = 'Order Refunded' THEN -1 ELSE 1 END * coalesce(quantity, 1.0)) AS units,
           sum(CASE WHEN name = 'Order Refunded' THEN -1 ELSE 1 END * coalesce(quantity, 1.0) * coalesce(price, 0.0)) AS value
    FROM past WHERE name IN ('Order Completed', 'Order Refunded')
    GROUP BY ALL
), spend AS (
    SELECT customer, max(time) FILTER (NOT refund) AS last_order, min(time) FILTER (NOT refund) AS first_order,
           count(*) FILTER (NOT refund) AS orders,
           count(*) FILTER (NOT refund AND time >= $moment::TIMESTAMP - INTERVAL 90 DAY) AS orders_90d,
           count(*) FILTER (NOT refund AND time >= $moment::TIMESTAMP - INTERVAL 180 DAY) AS orders_180d,
           sum(units) AS units, sum(value) AS revenue, coalesce(sum(value) FILTER (NOT refund), 0.0) AS ordered,
           coalesce(sum(value) FILTER (time >= $moment::TIMESTAMP - INTERVAL 30 DAY), 0.0) AS revenue_30d,
           coalesce(sum(value) FILTER (time >= $moment::TIMESTAMP - INTERVAL 90 DAY), 0.0) AS revenue_90d,
           coalesce(sum(value) FILTER (time >= $moment::TIMESTAMP - INTERVAL 365 DAY), 0.0) AS revenue_365d,
           max(value) FILTER (NOT refund) AS order_value_max
    FROM orders GROUP BY customer
), activity AS (
    SELECT customer, max(time) AS last_event, min(time) AS first_event,
           max(CASE WHEN name = 'Product Viewed' THEN time END) AS last_view,
           max(CASE WHEN name = 'Email Opened' THEN time END) AS last_open,
           max(CASE WHEN name = 'Email Link Clicked' THEN time END) AS last_click,
           max(CASE WHEN name = 'Identify' THEN time END) AS last_identified,
           count(CASE WHEN name = 'Product Viewed' AND time >= $moment::TIMESTAMP - INTERVAL 7 DAY THEN 1 END) AS views_7d,
           count(CASE WHEN name = 'Product Viewed' AND time >= $moment::TIMESTAMP - INTERVAL 30 DAY THEN 1 END) AS views_30d,
           count(CASE WHEN name = 'Product Viewed' AND time >= $moment::TIMESTAMP - INTERVAL 90 DAY THEN 1 END) AS views_90d,
           count(CASE WHEN name = 'Product Added' AND time >= $moment::TIMESTAMP - INTERVAL 30 DAY THEN 1 END) AS adds_30d,
           count(CASE WHEN name = 'Email Delivered' AND time >= $moment::TIMESTAMP - INTERVAL 90 DAY THEN 1 END) AS emails_90d,
           count(CASE WHEN name = 'Email Opened' AND time >= $moment::TIMESTAMP - INTERVAL 90 DAY THEN 1 END) AS opens_90d,
           count(CASE WHEN name = 'Email Link Clicked' AND time >= $moment::TIMESTAMP - INTERVAL 90 DAY THEN 1 END) AS clicks_90d,
           count(CASE WHEN name = 'Unsubscribed' THEN 1 END) AS unsubscribed
    FROM past GROUP BY customer
), affinity AS (
    SELECT customer, count(*) FILTER (bought > 0) AS items_bought, count(*) FILTER (viewed > 0) AS items_viewed,
           max(bought) AS lines_top, sum(bought) FILTER (bought > 0) AS lines
    FROM pairs GROUP BY customer
), known AS (
    SELECT *, epoch($moment::TIMESTAMP) AS now, (floor(epoch(last_order)) - floor(epoch(first_order))) / 86400.0 / nullif(orders - 1, 0) AS gap
    FROM activity LEFT JOIN spend USING (customer) LEFT JOIN affinity USING (customer)
)
SELECT customer,
       (now - floor(epoch(last_event))) / 86400.0 AS days_since_event,
       (now - floor(epoch(last_order))) / 86400.0 AS days_since_order,
       (now - floor(epoch(last_view))) / 86400.0 AS days_since_view,
       (now - floor(epoch(last_open))) / 86400.0 AS days_since_open,
       (now - floor(epoch(last_click))) / 86400.0 AS days_since_click,
       coalesce(orders, 0)::DOUBLE AS orders, coalesce(orders_90d, 0)::DOUBLE AS orders_90d, coalesce(units, 0) AS units,
       coalesce(revenue, 0) AS revenue, coalesce(revenue_30d, 0) AS revenue_30d, coalesce(revenue_90d, 0) AS revenue_90d,
       coalesce(revenue_365d, 0) AS revenue_365d, ordered / nullif(orders, 0) AS order_value, order_value_max,
       (ordered - revenue) / nullif(ordered, 0) AS refund_share,
       views_7d::DOUBLE AS views_7d, views_30d::DOUBLE AS views_30d, views_90d::DOUBLE AS views_90d,
       adds_30d::DOUBLE AS adds_30d, emails_90d::DOUBLE AS emails_90d, opens_90d::DOUBLE AS opens_90d,
       clicks_90d::DOUBLE AS clicks_90d, opens_90d / nullif(emails_90d, 0) AS open_share, unsubscribed::DOUBLE AS unsubscribed,
       coalesce(items_bought, 0)::DOUBLE AS items_bought, coalesce(items_viewed, 0)::DOUBLE AS items_viewed,
       lines_top::DOUBLE / nullif(lines, 0) AS top_item_share, (lines - items_bought)::DOUBLE / nullif(lines, 0) AS repeat_share,
       (now - floor(epoch(first_event))) / 86400.0 AS days_since_first_event,
       (now - floor(epoch(first_order))) / 86400.0 AS days_since_first_order,
       nullif(gap, 0) AS days_between_orders, (now - floor(epoch(last_order))) / 86400.0 / nullif(gap, 0) AS overdue,
       CASE WHEN now - floor(epoch(first_order)) <= 30 * 86400 THEN 0
            WHEN now - floor(epoch(last_order)) <= 90 * 86400 THEN CASE WHEN orders_180d >= 3 THEN 4 ELSE 1 END
            WHEN now - floor(epoch(last_order)) <= 180 * 86400 THEN 2 WHEN last_order IS NOT NULL THEN 3 END AS stage,
       coalesce(2 * orders_90d - orders_180d, 0)::DOUBLE AS orders_trend,
       (now - floor(epoch(last_identified))) / 86400.0 AS days_since_identified
FROM known ORDER BY customer;
